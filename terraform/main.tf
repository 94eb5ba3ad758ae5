locals {
  name    = "${var.app_name}-${var.stage_name}"
  outputs = "/${var.app_name}/${var.stage_name}/outputs"
  # ROUTER_WAITS_CAP: long polls may not use up all executions. Where none are reserved there may be as few as 10, a new account's quota.
  waits_cap   = coalesce(var.waits_cap, var.reserved_concurrency == -1 ? 8 : floor(var.reserved_concurrency * 4 / 5))
  kms_decrypt = distinct([for arn in [var.redis_kms_key_arn, var.kms_key_arn] : arn if arn != null])
}

module "iam" {
  source = "./modules/iam"

  name                     = local.name
  permissions_boundary_arn = var.permissions_boundary_arn

  runtime = {
    log_group_arns = concat([aws_cloudwatch_log_group.function.arn], aws_cloudwatch_log_group.stream[*].arn)
    parameter_arns = values(module.ssm.read_arns)
    kms_key_arns   = local.kms_decrypt
    data_key_arns  = [for arn in [var.router_kms_key_id] : arn if arn != ""]
    vpc            = var.vpc_config != null
    xray           = var.tracing
  }
}

module "ssm" {
  source = "./modules/ssm"

  prefix = local.outputs
  reads = { for key, name in {
    redis_url   = var.redis_url_parameter
    redis_ca    = var.redis_ca_parameter
    cognito_aud = var.cognito_aud_parameter
  } : key => name if name != "" }

  # These arise from the stage and the alias, so they are written after them and never name something else.
  writes = merge(
    {
      api_id           = aws_api_gateway_rest_api.rest_api.id
      api_url          = local.api_url
      function_alias   = aws_lambda_alias.live.name
      function_arn     = aws_lambda_function.api_handler.arn
      function_version = aws_lambda_alias.live.function_version
    },
    { for alias in aws_lambda_alias.stream : "stream_function_alias" => alias.name },
    { for function in aws_lambda_function.stream : "stream_function_arn" => function.arn },
    { for alias in aws_lambda_alias.stream : "stream_function_version" => alias.function_version },
  )
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# What API Gateway and the warm rule call: never $LATEST. `make rollback` points it at an older version.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that serves."
  function_name    = aws_lambda_function.api_handler.function_name
  function_version = var.move_alias ? aws_lambda_function.api_handler.version : data.aws_lambda_alias.live[0].function_version
}

data "aws_lambda_alias" "live" {
  count = var.move_alias ? 0 : 1

  name          = "live"
  function_name = local.name
}

# An event that failed is not sent again: the next one comes soon enough.
resource "aws_lambda_function_event_invoke_config" "live" {
  function_name                = aws_lambda_function.api_handler.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}

# Releases before this one made these where api_account_role was true. They are the account's: forgotten, not destroyed.
removed {
  from = aws_api_gateway_account.logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = module.iam.aws_iam_role.gateway_logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = module.iam.aws_iam_role_policy_attachment.gateway_logs

  lifecycle {
    destroy = false
  }
}
