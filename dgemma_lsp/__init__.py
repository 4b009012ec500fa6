"""The language server, the daemon and the command line of dgemma; the model lives in `sampler`."""

__version__ = "0.1.0"
