# Every alarm looks at five minutes, one that wants a minimum at two such stretches in a row. No data means no traffic, which is no fault.

locals {
  # vendor/lambda_router_queue/metrics.py: NAMESPACE, SERVICE and Metric. The function gets the stack's name as ROUTER_STACK, and whoever
  # starts its workers gives it to them: docs/deploy.md.
  own_namespace  = "LambdaRouter"
  own_dimensions = { service = "lambda-router", stack = local.name }
  own_chart      = flatten([for name, value in local.own_dimensions : [name, value]])

  # Problems of chalicelib/errors.py that mean: the queue takes no more.
  queue_problems = ["queue-full", "queue-unavailable"]

  # Codes of docs/contract.md that are the workers' fault or their model server's, not the caller's. CloudWatch adds up ten
  # metrics at most.
  worker_faults = [
    "abandoned", "backend_busy", "backend_crashed", "backend_invalid_response", "backend_unreachable", "key_unavailable", "timeout",
    "unsupported_type", "worker_died", "worker_error",
  ]

  alarms = {
    server-errors = {
      description = "The API answers 5xx. Begin with the lines `unforeseen` and `misconfigured` in the function's log."
      namespace   = "AWS/ApiGateway"
      metric      = "5XXError"
      dimensions  = { ApiName = local.name, Stage = var.api_stage_name }
      statistic   = "Sum"
      threshold   = var.alarm_thresholds.server_errors
    }
    latency-p95 = {
      description = "One job in twenty is taken slowly. Is Redis slow, or far away?"
      namespace   = local.own_namespace
      metric      = "Latency"
      dimensions  = merge(local.own_dimensions, { route = "POST /v1/jobs" })
      statistic   = "p95"
      threshold   = var.alarm_thresholds.latency_p95_ms
    }
    throttles = {
      description = "Lambda turned requests away: reserved_concurrency is used up."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = local.name, Resource = "${local.name}:live" }
      statistic   = "Sum"
      threshold   = var.alarm_thresholds.throttles
    }
    dead-letters = {
      description = "Jobs were given up on: `lambda-router-worker dead list`. The number comes from the workers' machine: docs/deploy.md."
      namespace   = local.own_namespace
      metric      = "DeadLetters"
      dimensions  = merge(local.own_dimensions, { queue = var.router_queue })
      statistic   = "Maximum"
      threshold   = var.alarm_thresholds.dead_letters
    }
    model-server = {
      description = "A worker claims nothing, as its model server is in trouble: `lambda-router-worker stats`. The number comes from the workers' machine: docs/deploy.md."
      namespace   = local.own_namespace
      metric      = "ModelServerUp"
      dimensions  = merge(local.own_dimensions, { queue = var.router_queue })
      statistic   = "Minimum"
      threshold   = 1
    }
  }

  # Of the streaming function, whose faults API Gateway's 5xx hardly show: an answer that breaks off had its status before.
  stream_alarms = {
    stream-errors = {
      description = "Streamed answers break off: their clients get no error event. Begin with the lines `response_failed` in the function's log."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = local.stream_dimensions
      statistic   = "Sum"
      threshold   = var.alarm_thresholds.stream_errors
    }
    stream-throttles = {
      description = "Lambda rejected requests to the OpenAI API: stream_reserved_concurrency is used up."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = local.stream_dimensions
      statistic   = "Sum"
      threshold   = var.alarm_thresholds.throttles
    }
    stream-duration = {
      description = "An answer ran on after router_stream_seconds: the function did not end it, and it keeps an execution and two connections to Redis."
      namespace   = "AWS/Lambda"
      metric      = "Duration"
      dimensions  = local.stream_dimensions
      statistic   = "Maximum"
      threshold   = min(var.router_stream_seconds + 30, local.stream_timeout - 5) * 1000
    }
  }
  stream_dimensions = { FunctionName = local.stream_name, Resource = "${local.stream_name}:live" }
}

resource "aws_cloudwatch_metric_alarm" "each" {
  for_each = merge(local.alarms, { for name, alarm in local.stream_alarms : name => alarm if var.streaming })

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} docs/runbook.md#${each.key}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic == "p95" ? null : each.value.statistic
  extended_statistic  = each.value.statistic == "p95" ? "p95" : null
  comparison_operator = each.value.statistic == "Minimum" ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = each.value.statistic == "Minimum" ? 2 : 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

locals {
  # Sums over some values of a dimension.
  sums = {
    queue-refusals = {
      description = "Jobs are refused because of the queue: workers do not keep up, none runs, or Redis is away."
      label       = "Refused because of the queue"
      metric      = "RequestsRefused"
      dimension   = "reason"
      values      = local.queue_problems
      threshold   = var.alarm_thresholds.queue_refusals
    }
    jobs-failed = {
      description = "Jobs fail, and not by their callers' fault. The number comes from the workers' machine: docs/deploy.md."
      label       = "Failed by the workers' fault"
      metric      = "JobsFailed"
      dimension   = "code"
      values      = local.worker_faults
      threshold   = var.alarm_thresholds.jobs_failed
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "sum" {
  for_each = local.sums

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} docs/runbook.md#${each.key}"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions

  metric_query {
    id          = "total"
    label       = each.value.label
    expression  = join(" + ", [for number in range(length(each.value.values)) : "FILL(m${number}, 0)"])
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.values

    content {
      id = "m${metric_query.key}"

      metric {
        namespace   = local.own_namespace
        metric_name = each.value.metric
        dimensions  = merge(local.own_dimensions, { (each.value.dimension) = metric_query.value })
        period      = 300
        stat        = "Sum"
      }
    }
  }
}

moved {
  from = aws_cloudwatch_metric_alarm.queue_refusals
  to   = aws_cloudwatch_metric_alarm.sum["queue-refusals"]
}

locals {
  functions = concat([local.name], aws_lambda_function.stream[*].function_name)

  # title => the metrics drawn, each as CloudWatch's dashboards write it.
  charts = {
    "Requests and refusals" = [
      ["AWS/ApiGateway", "Count", "ApiName", local.name, "Stage", var.api_stage_name, { stat = "Sum" }],
      ["AWS/ApiGateway", "4XXError", "ApiName", local.name, "Stage", var.api_stage_name, { stat = "Sum" }],
      ["AWS/ApiGateway", "5XXError", "ApiName", local.name, "Stage", var.api_stage_name, { stat = "Sum" }],
    ]
    "Latency in ms" = [
      for stat in ["p50", "p95", "p99"] :
      ["AWS/ApiGateway", "Latency", "ApiName", local.name, "Stage", var.api_stage_name, { stat = stat, label = stat }]
    ]
    "Functions" = [
      for pair in setproduct(local.functions, ["Invocations", "Errors", "Throttles"]) :
      ["AWS/Lambda", pair[1], "FunctionName", pair[0], "Resource", "${pair[0]}:live", { stat = "Sum" }]
    ]
    "Executions at once" = [
      for name in local.functions : ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", name, { stat = "Maximum" }]
    ]
    "Jobs" = [
      [{ expression = "SEARCH('{${local.own_namespace},service,stack,type} MetricName=\"JobsAccepted\" stack=\"${local.name}\"', 'Sum')", label = "" }],
      concat([local.own_namespace, "JobsReplayed"], local.own_chart, [{ stat = "Sum" }]),
      concat([local.own_namespace, "DeadLetters"], local.own_chart, ["queue", var.router_queue, { stat = "Maximum" }]),
      concat([local.own_namespace, "ModelServerUp"], local.own_chart, ["queue", var.router_queue, { stat = "Minimum" }]),
    ]
    "Failed jobs" = [
      [{ expression = "SEARCH('{${local.own_namespace},service,stack,code} MetricName=\"JobsFailed\" stack=\"${local.name}\"', 'Sum')", label = "" }],
    ]
    "Refused because of the queue" = [
      for problem in local.queue_problems :
      concat([local.own_namespace, "RequestsRefused"], local.own_chart, ["reason", problem, { stat = "Sum" }])
    ]
  }
}

resource "aws_cloudwatch_dashboard" "overview" {
  dashboard_name = local.name

  dashboard_body = jsonencode({
    widgets = [
      for title, metrics in local.charts : {
        type   = "metric"
        width  = 12
        height = 6
        properties = {
          title   = title
          region  = var.aws_region
          view    = "timeSeries"
          period  = 300
          metrics = metrics
        }
      }
    ]
  })
}
