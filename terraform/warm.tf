# Keeps one environment of each alias awake. Chalice's @app.schedule would make a second function and warm that.

locals {
  # What API Gateway would send for GET /health, as far as Chalice reads it.
  warm_event = {
    resource                        = "/health"
    path                            = "/health"
    httpMethod                      = "GET"
    headers                         = { Accept = "application/json" }
    multiValueHeaders               = { Accept = ["application/json"] }
    queryStringParameters           = null
    multiValueQueryStringParameters = null
    pathParameters                  = null
    stageVariables                  = null
    body                            = null
    isBase64Encoded                 = false
    requestContext = {
      resourcePath = "/health"
      httpMethod   = "GET"
      path         = "/${var.api_stage_name}/health"
      stage        = var.api_stage_name
      requestId    = "warm"
      identity     = { sourceIp = "127.0.0.1", userAgent = "warm" }
    }
  }
}

resource "aws_cloudwatch_event_rule" "warm" {
  count = var.warm_schedule == "" ? 0 : 1

  name                = "${local.name}-warm"
  description         = "Keeps one environment of each function of ${local.name} awake."
  schedule_expression = var.warm_schedule
}

resource "aws_cloudwatch_event_target" "warm" {
  count = length(aws_cloudwatch_event_rule.warm)

  rule      = aws_cloudwatch_event_rule.warm[0].name
  target_id = "live"
  arn       = aws_lambda_alias.live.arn
  input     = jsonencode(local.warm_event)
}

resource "aws_cloudwatch_event_target" "warm_stream" {
  count = var.streaming ? length(aws_cloudwatch_event_rule.warm) : 0

  rule      = aws_cloudwatch_event_rule.warm[0].name
  target_id = "stream"
  arn       = aws_lambda_alias.stream[0].arn
  input     = jsonencode(local.warm_event)
}

resource "aws_lambda_permission" "warm" {
  count = length(aws_cloudwatch_event_rule.warm)

  statement_id  = "warm"
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  function_name = aws_lambda_function.api_handler.function_name
  qualifier     = aws_lambda_alias.live.name
  source_arn    = aws_cloudwatch_event_rule.warm[0].arn
}

resource "aws_lambda_permission" "warm_stream" {
  count = length(aws_cloudwatch_event_target.warm_stream)

  statement_id  = "warm"
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  function_name = aws_lambda_function.stream[0].function_name
  qualifier     = aws_lambda_alias.stream[0].name
  source_arn    = aws_cloudwatch_event_rule.warm[0].arn
}
