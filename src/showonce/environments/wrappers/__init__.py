"""Environments around another environment: fence, marks and OCR, secret. Each is a `wrapper.Wrapper`."""
