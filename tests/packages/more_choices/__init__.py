"""A package that brings one choice of every group, as one published elsewhere would."""
