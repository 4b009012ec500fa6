"""The diffusion sampler: token ids in, token ids out. It knows no editor, socket or daemon."""
