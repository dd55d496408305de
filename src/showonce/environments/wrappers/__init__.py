"""Environments around another environment: fence, marks and OCR."""
