"""The streaming function's own runtime: it sends responses to Lambda piece by piece. Only ``wrapper`` starts it.

Lambda's Python runtime sends a response whole. Lambda calls ``wrapper`` in that runtime's place, because the function's
variable ``AWS_LAMBDA_EXEC_WRAPPER`` names it.
"""
