"""Spectrum Suite: tasks, each a stream of episodes; so far the sampler that all of them draw with."""
