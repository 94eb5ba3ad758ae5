# The instance reports memory, disk and certificate every five minutes (root/usr/local/lib/valkey-home/report); EC2 itself
# whether the machine works.

locals {
  alarms = {
    memory = {
      description = "Redis has used four fifths of its memory, or the instance reports nothing. At the limit the router answers 503: docs/valkey.md."
      metric      = "MemoryUsed"
      comparison  = "GreaterThanOrEqualToThreshold"
      threshold   = 80
      missing     = "breaching"
    }
    disk = {
      description = "A volume is four fifths full. Redis refuses writes once its append-only file cannot grow: docs/valkey.md."
      metric      = "DiskUsed"
      comparison  = "GreaterThanOrEqualToThreshold"
      threshold   = 80
      missing     = "missing"
    }
    certificate = {
      description = "The certificate was not renewed; it should have been with 15 days left: docs/valkey.md."
      metric      = "CertificateDays"
      comparison  = "LessThanThreshold"
      threshold   = 10
      missing     = "missing"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "measured" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = local.namespace
  metric_name         = each.value.metric
  dimensions          = { stack = local.stack }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = local.tags
}

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/UsingAlarmActions.html: recovery moves the instance, with its
# volumes and address, to another host; a reboot mends what went wrong inside.
resource "aws_cloudwatch_metric_alarm" "machine" {
  for_each = {
    host     = { metric = "StatusCheckFailed_System", action = "recover", periods = 2, what = "The host failed; EC2 moves the instance to another." }
    instance = { metric = "StatusCheckFailed_Instance", action = "reboot", periods = 3, what = "The instance does not answer EC2; EC2 restarts it." }
  }

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.what} docs/valkey.md"
  namespace           = "AWS/EC2"
  metric_name         = each.value.metric
  dimensions          = { InstanceId = aws_instance.this.id }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "missing"
  alarm_actions = concat(
    ["arn:${data.aws_partition.current.partition}:automate:${data.aws_region.current.id}:ec2:${each.value.action}"],
    var.alarm_actions,
  )
  ok_actions = var.alarm_actions
  tags       = local.tags
}
