# The streaming function: the same zip with a runtime of our own, since Lambda's own runtime for Python sends every answer
# whole. The paths of the OpenAI API lead to it, all others to the first function: docs/deploy.md#streaming.

locals {
  stream_name = "${local.name}-stream"
  # Where the package has the script that starts our runtime. Lambda calls it instead of its own.
  stream_wrapper = "/var/task/chalicelib/streaming/wrapper"
  # The longest that Lambda and a streaming integration of API Gateway allow. ROUTER_STREAM_SECONDS ends an answer before.
  stream_timeout   = 900
  stream_waits_cap = var.stream_reserved_concurrency == -1 ? 8 : floor(var.stream_reserved_concurrency * 4 / 5)

  # How an integration names the alias. The provider's attribute for it came with 6.x.
  stream_invoke_arn = join("", [
    for alias in aws_lambda_alias.stream :
    "arn:${data.aws_partition.chalice.partition}:apigateway:${var.aws_region}:lambda:path/2021-11-15/functions/${alias.arn}/response-streaming-invocations"
  ])

  # The API with the streaming paths in place of the buffered ones; `make package` writes both.
  buffered_api = jsondecode(local.chalice_api_swagger)
  streamed_api = merge(local.buffered_api, { paths = merge(local.buffered_api.paths, jsondecode(local.streamed_paths)) })
  api_body     = var.streaming ? jsonencode(local.streamed_api) : local.chalice_api_swagger
}

resource "aws_lambda_function" "stream" {
  # checkov:skip=CKV_AWS_116: as for the first function: only warm events are asynchronous, and not worth keeping.
  # checkov:skip=CKV_AWS_173: as for the first function: the variables hold no secret, and kms_key_arn is there for who wants it.
  # checkov:skip=CKV_AWS_272: as for the first function: who may change the code is decided by the deploy role.
  count = var.streaming ? 1 : 0

  function_name                  = local.stream_name
  description                    = local.build
  filename                       = aws_lambda_function.api_handler.filename
  source_code_hash               = aws_lambda_function.api_handler.source_code_hash
  role                           = aws_lambda_function.api_handler.role
  runtime                        = aws_lambda_function.api_handler.runtime
  handler                        = aws_lambda_function.api_handler.handler
  architectures                  = aws_lambda_function.api_handler.architectures
  memory_size                    = var.memory_size
  timeout                        = local.stream_timeout
  reserved_concurrent_executions = var.stream_reserved_concurrency
  kms_key_arn                    = var.kms_key_arn
  publish                        = true

  # No snap_start, whatever var.snap_start says: after a snapshot Lambda expects calls that our runtime does not make.

  environment {
    variables = merge(one(aws_lambda_function.api_handler.environment).variables, {
      AWS_LAMBDA_EXEC_WRAPPER = local.stream_wrapper
      ROUTER_WAITS_CAP        = tostring(local.stream_waits_cap)
    })
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.stream[0].name
  }

  dynamic "vpc_config" {
    for_each = var.vpc_config[*]

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }
}

resource "aws_cloudwatch_log_group" "stream" {
  count = var.streaming ? 1 : 0

  name              = "/aws/lambda/${local.stream_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# Moves with the first function's alias, here and in `make release` and `make rollback`.
resource "aws_lambda_alias" "stream" {
  count = var.streaming ? 1 : 0

  name             = "live"
  description      = "The version that serves."
  function_name    = aws_lambda_function.stream[0].function_name
  function_version = var.move_alias ? aws_lambda_function.stream[0].version : data.aws_lambda_alias.stream[0].function_version
}

data "aws_lambda_alias" "stream" {
  count = var.streaming && !var.move_alias ? 1 : 0

  name          = "live"
  function_name = local.stream_name
}

resource "aws_lambda_function_event_invoke_config" "stream" {
  count = var.streaming ? 1 : 0

  function_name                = aws_lambda_function.stream[0].function_name
  qualifier                    = aws_lambda_alias.stream[0].name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}

resource "aws_lambda_permission" "stream_rest_api" {
  count = var.streaming ? 1 : 0

  statement_id  = "api-gateway"
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  function_name = aws_lambda_function.stream[0].function_name
  qualifier     = aws_lambda_alias.stream[0].name
  source_arn    = aws_lambda_permission.rest_api_invoke.source_arn
}
