"""Edge agent for on-site intelligent cameras: sees faces, vehicles and plates; sends events."""

__version__ = "0.1.0"
