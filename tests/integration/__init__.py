"""The app by its Lambda entry point and the worker as a process, against a real Valkey."""
