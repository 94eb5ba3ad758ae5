# modules/valkey by itself: who may connect, what the instance may do, and what it is told.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_resource "aws_ssm_parameter" {
    defaults = { arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/mocked" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
  mock_data "aws_ec2_instance_type_offerings" {
    defaults = { locations = ["eu-central-1b", "eu-central-1a"] }
  }
  mock_data "aws_subnet" {
    defaults = { vpc_id = "vpc-0123456789abcdef0", availability_zone = "eu-central-1b" }
  }
  mock_resource "aws_eip" {
    defaults = { public_ip = "203.0.113.7" }
  }
  mock_resource "aws_ebs_volume" {
    defaults = { id = "vol-0123456789abcdef0" }
  }
  mock_resource "aws_instance" {
    defaults = { id = "i-0123456789abcdef0" }
  }
}

variables {
  stage_name = "prod"
}

run "one_instance" {
  module {
    source = "./modules/valkey"
  }
  variables {
    queues = ["tinyllama", "llava"]
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.tls : "${rule.ip_protocol} ${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"] == ["tcp 6379-6379 0.0.0.0/0"]
    error_message = "The world reaches the port for TLS, and no other."
  }
  assert {
    condition     = aws_instance.this.metadata_options[0].http_tokens == "required" && aws_instance.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Only the instance itself gets its role, with a token."
  }
  assert {
    condition     = aws_ebs_volume.data.encrypted && aws_instance.this.root_block_device[0].encrypted
    error_message = "Both volumes are encrypted."
  }
  assert {
    condition     = length(base64gzip(local.user_data)) * 3 / 4 < 16384
    error_message = "EC2 takes 16 KB of user data, as they are before base64."
  }
  assert {
    condition     = startswith(local.user_data, "#cloud-config\n") && can(yamldecode(local.user_data))
    error_message = "The user data is what cloud-init reads."
  }
  assert {
    condition     = local.files["/etc/valkey-home/settings"] == <<-EOT
      ADDRESS="203.0.113.7"
      DEVICE="/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
      DNS_SUFFIX="amazonaws.com"
      NAMESPACE="LambdaRouter/Valkey"
      PARAMETERS="/lambda-router/prod"
      PORT="6379"
      QUEUES="tinyllama llava"
      REGION="eu-central-1"
      STACK="lambda-router-prod"
    EOT
    error_message = "The instance is told names and places, and nothing secret."
  }
  assert {
    condition     = sort([for parameter in aws_ssm_parameter.published : "${parameter.name} ${parameter.type}"]) == tolist(["/lambda-router/prod/redis-authority String", "/lambda-router/prod/redis-url SecureString", "/lambda-router/prod/valkey-ready String", "/lambda-router/prod/worker-redis-url SecureString"])
    error_message = "Two secrets and two facts are published."
  }
  assert {
    condition     = alltrue([for parameter in aws_ssm_parameter.published : parameter.value_wo_version == 1])
    error_message = "What parameters hold is write-only, and written once."
  }
  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => statement.Action } == {
      PublishOwnParameters      = ["ssm:PutParameter"]
      ReportOwnFigures          = ["cloudwatch:PutMetricData"]
      BeReachedBySessionManager = ["ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"]
    }
    error_message = "The instance publishes, reports and can be entered; it reads no parameter."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[1].Condition == { StringEquals = { "cloudwatch:namespace" = "LambdaRouter/Valkey" } }
    error_message = "Figures go into one namespace."
  }
  assert {
    condition     = aws_dlm_lifecycle_policy.daily.policy_details[0].target_tags == tomap({ Backup = aws_ebs_volume.data.tags.Backup })
    error_message = "The data volume has the tag that snapshots are made by."
  }
  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.machine : name => one(alarm.alarm_actions) } == { host = "arn:aws:automate:eu-central-1:ec2:recover", instance = "arn:aws:automate:eu-central-1:ec2:reboot" }
    error_message = "A failed host is left, and a failed instance is started again."
  }
  assert {
    condition     = sort([for alarm in aws_cloudwatch_metric_alarm.measured : alarm.metric_name]) == tolist(["CertificateDays", "DiskUsed", "MemoryUsed"])
    error_message = "Alarms watch what the instance measures itself."
  }
  assert {
    condition     = output.wait_for == { instance_id = "i-0123456789abcdef0", parameter = "/lambda-router/prod/valkey-ready", region = "eu-central-1" }
    error_message = "make wait-valkey is told where to look."
  }
}

run "in_a_subnet_that_is_there" {
  module {
    source = "./modules/valkey"
  }
  variables {
    allowed_cidrs = ["198.51.100.0/24", "203.0.113.0/24"]
    subnet_id     = "subnet-0123456789abcdef0"
  }

  assert {
    condition     = length(aws_vpc.own) == 0 && aws_security_group.this.vpc_id == "vpc-0123456789abcdef0" && aws_ebs_volume.data.availability_zone == "eu-central-1b"
    error_message = "The VPC and the zone are the subnet's."
  }
  assert {
    condition     = sort([for rule in aws_vpc_security_group_ingress_rule.tls : rule.cidr_ipv4]) == tolist(["198.51.100.0/24", "203.0.113.0/24"])
    error_message = "Only these networks may connect."
  }
}

run "refuses_what_cannot_work" {
  command = plan
  module {
    source = "./modules/valkey"
  }
  variables {
    alarm_actions    = ["alarms"]
    allowed_cidrs    = ["2001:db8::/32"]
    app_name         = "X"
    data_gb          = 0
    data_snapshot_id = "vol-1"
    instance_type    = "t3.micro"
    kms_key_arn      = "alias/mine"
    port             = 22
    queues           = ["Tiny Llama"]
    snapshot_days    = 0
    stage_name       = "Prod"
    subnet_id        = "vpc-1"
  }
  expect_failures = [
    var.alarm_actions, var.allowed_cidrs, var.app_name, var.data_gb, var.data_snapshot_id, var.instance_type,
    var.kms_key_arn, var.port, var.queues, var.snapshot_days, var.stage_name, var.subnet_id,
  ]
}
