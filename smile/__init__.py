"""SMILE: microcanonical samplers for posteriors with noisy gradients."""

__version__ = "0.1.0"
