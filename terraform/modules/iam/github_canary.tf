# What `make canary` does in AWS, and no more: tests/unit/release/test_canary_role.py compares both.

locals {
  canary_statements = flatten([for github in var.github[*] : concat(
    [for statement in local.state_statements : statement if statement.Sid != "LockState"],
    [
      {
        Sid      = "MoveAlias"
        Effect   = "Allow"
        Action   = ["lambda:GetAlias", "lambda:ListVersionsByFunction", "lambda:UpdateAlias"]
        Resource = local.qualified_functions
      },
      {
        Sid      = "TellVersion"
        Effect   = "Allow"
        Action   = ["ssm:PutParameter"]
        Resource = [for name in ["function_version", "stream_function_version"] : "${trimsuffix(local.arns.outputs, "*")}${name}"]
      },
    ],
  )])
}
