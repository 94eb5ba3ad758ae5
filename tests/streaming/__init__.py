"""The streaming function's runtime, against a Runtime API that checks every byte."""
