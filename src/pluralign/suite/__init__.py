"""Spectrum Suite: tasks, each a stream of episodes; nothing is imported, read or downloaded until it is asked for."""

from pluralign.suite.registry import all_evaluations, all_tasks, draw, evaluation, read, source, source_of, task

__all__ = ["all_evaluations", "all_tasks", "draw", "evaluation", "read", "source", "source_of", "task"]
