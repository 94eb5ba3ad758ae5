# What Chalice cannot say about the resources in chalice.tf.json. Terraform lays this file over that one: an argument
# here replaces the one there, and a block (`environment { … }`) replaces the whole block there.

resource "aws_lambda_function" "api_handler" {
  # checkov:skip=CKV_AWS_116: nothing is sent to the function asynchronously but warm events, which are not worth keeping.
  # checkov:skip=CKV_AWS_173: the variables hold no secret, only the name of the parameter that does; kms_key_arn is there for who wants it.
  # checkov:skip=CKV_AWS_272: who may change the code is decided by the deploy role; what runs is compared with the zip's sha256.
  function_name                  = local.name
  description                    = local.build # a published version keeps it, and so says which commit it is
  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn

  # The alias needs a version to point at.
  publish = true

  # Chalice's own tag names its release, so that an upgrade of Chalice would change every function.
  tags = {}

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  # Names the group that we own, and has it created first: Lambda would make one that keeps lines for ever.
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function.name
  }

  dynamic "snap_start" {
    for_each = var.snap_start ? ["PublishedVersions"] : []

    content {
      apply_on = snap_start.value
    }
  }

  dynamic "vpc_config" {
    for_each = var.vpc_config[*]

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }
}

resource "aws_lambda_permission" "rest_api_invoke" {
  statement_id  = "api-gateway"
  function_name = aws_lambda_function.api_handler.function_name
  qualifier     = aws_lambda_alias.live.name
  source_arn    = "${aws_api_gateway_rest_api.rest_api.execution_arn}/${var.api_stage_name}/*"
}

resource "aws_api_gateway_rest_api" "rest_api" {
  name        = local.name
  description = "Front door of ${local.name}."
  body        = local.api_body

  # An import of the body without this switches the default endpoint on again; the provider then switches it off again.
  disable_execute_api_endpoint = !var.default_endpoint

  # The pages' files are text that compresses to a third. Responses that are streamed stay as they are:
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
  minimum_compression_size = local.has_pages ? 1024 : -1

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  lifecycle {
    create_before_destroy = true
  }
}
