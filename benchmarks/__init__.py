"""Benchmarks: each measures something, compares it with a goal, and ends with PASS, FAIL or NOT MEASURED.

``python -m benchmarks`` lists them. They live beside the package in the source tree and are not in the wheel.
"""
