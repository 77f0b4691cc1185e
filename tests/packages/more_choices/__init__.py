"""A package that brings a sampler, a tuner, a target and a data set, as one published elsewhere would."""
