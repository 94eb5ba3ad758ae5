# The stage that callers reach, and what it limits, writes and measures. What each costs: docs/cost.md.

resource "aws_api_gateway_stage" "live" {
  # checkov:skip=CKV_AWS_120: answers are about one caller's job at one moment; a cache would hand out old or foreign ones.
  # checkov:skip=CKV2_AWS_51: callers are proven by a Cognito token, twice; the gateway proves itself to no back end but Lambda.
  # checkov:skip=CKV2_AWS_29: every method but those of the open paths (docs/contract.md) needs a token, and the throttle bounds the rest; whoever has a web ACL associates it with output stage_arn.
  # checkov:skip=CKV_AWS_73: traces cost more than the gateway itself (docs/cost.md), so they are a variable, off unless asked for.
  # checkov:skip=CKV2_AWS_4: metrics for each method are a variable for the same reason; errors are logged all the same.
  rest_api_id          = aws_api_gateway_rest_api.rest_api.id
  deployment_id        = aws_api_gateway_deployment.rest_api.id
  stage_name           = var.api_stage_name
  description          = "Serves ${local.name}."
  xray_tracing_enabled = var.tracing

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = jsonencode(local.access_log)
  }

  depends_on = [aws_cloudwatch_log_group.execution]

  lifecycle {
    precondition {
      condition     = local.has_pages == tobool(var.router_docs)
      error_message = "router_docs is ${var.router_docs}, but chalice.tf.json was packaged ${local.has_pages ? "with" : "without"} the pages: export TF_VAR_router_docs=${var.router_docs}, make package, then plan again."
    }
  }
}

locals {
  # No path and no query: a path holds a job's id, and a query what a caller typed.
  access_log = merge({
    requestId          = "$context.requestId"
    extendedRequestId  = "$context.extendedRequestId"
    requestTime        = "$context.requestTime"
    ip                 = "$context.identity.sourceIp"
    httpMethod         = "$context.httpMethod"
    resourcePath       = "$context.resourcePath"
    protocol           = "$context.protocol"
    status             = "$context.status"
    responseType       = "$context.error.responseType"
    responseLength     = "$context.responseLength"
    responseLatency    = "$context.responseLatency"
    integrationLatency = "$context.integration.latency"
    integrationStatus  = "$context.integration.status"
    timeToFirstContent = "$context.integration.timeToFirstContent"
  }, var.tracing ? { xrayTraceId = "$context.xrayTraceId" } : {})
}

resource "aws_api_gateway_method_settings" "all" {
  # checkov:skip=CKV_AWS_225: as for the stage: nothing here may be cached.
  rest_api_id = aws_api_gateway_rest_api.rest_api.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  method_path = "*/*"

  settings {
    # For each method; those of the stage are always there:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/metrics_dimensions_view_in_cloud_watch.html
    metrics_enabled        = var.method_metrics
    logging_level          = "ERROR"
    data_trace_enabled     = false
    caching_enabled        = false
    throttling_burst_limit = var.throttling_burst_limit
    throttling_rate_limit  = var.throttling_rate_limit
  }
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${local.name}/access"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# API Gateway writes errors to a group of this very name, and would make one that keeps lines for ever.
resource "aws_cloudwatch_log_group" "execution" {
  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.rest_api.id}/${var.api_stage_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
