"""Encoders: each says its `channels` and `strides` and returns its stages finest first."""
