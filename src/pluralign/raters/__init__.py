"""Raters: models of who answers what, groups of raters, and the study that puts them together."""
