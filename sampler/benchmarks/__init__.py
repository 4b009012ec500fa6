"""The parts of `sampler.bench`: one module for each thing that is measured, and what they share."""
