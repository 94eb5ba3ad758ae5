# Where Redis and the function are: a VPC of their own without a way out, or one that is there already.

data "aws_availability_zones" "here" {
  count = local.own_vpcs

  state = "available"

  filter { # no Local Zones
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  own_vpcs   = var.network == null ? 1 : 0
  port       = 6379
  vpc_id     = var.network == null ? aws_vpc.own[0].id : var.network.vpc_id
  subnet_ids = var.network == null ? aws_subnet.own[*].id : var.network.subnet_ids

  # What the function asks of each service.
  endpoint_permissions = {
    kms = { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resource = "*" }
    ssm = {
      actions = ["ssm:GetParameter"]
      resource = join(":", [
        "arn", data.aws_partition.current.partition, "ssm", data.aws_region.current.id,
        data.aws_caller_identity.current.account_id, "parameter${var.parameter_prefix}/*",
      ])
    }
  }
}

resource "aws_vpc" "own" {
  # checkov:skip=CKV2_AWS_11: flow logs cost, and this VPC has Redis, endpoints and no way out; they are yours to add.
  count = local.own_vpcs

  cidr_block           = var.vpc_cidr
  enable_dns_hostnames = true # for the endpoints' names
  enable_dns_support   = true
  tags                 = { Name = var.name }
}

# With no rules: nothing may use the group that a VPC brings along.
resource "aws_default_security_group" "own" {
  count = local.own_vpcs

  vpc_id = aws_vpc.own[0].id
}

resource "aws_subnet" "own" {
  count = local.own_vpcs * 2

  vpc_id            = aws_vpc.own[0].id
  availability_zone = data.aws_availability_zones.here[0].names[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index)
  tags              = { Name = "${var.name}-${count.index}" }
}

resource "aws_security_group" "function" {
  # checkov:skip=CKV2_AWS_5: the stack attaches the group to its functions (vpc_config), where checkov cannot see it.
  name        = "${var.name}-function"
  description = "The functions: to Redis and the endpoints, nowhere else."
  vpc_id      = local.vpc_id
  tags        = { Name = "${var.name}-function" }
}

resource "aws_security_group" "redis" {
  name        = "${var.name}-redis"
  description = "Redis: from the functions and the boxes."
  vpc_id      = local.vpc_id
  tags        = { Name = "${var.name}-redis" }
}

resource "aws_vpc_security_group_egress_rule" "function_to_redis" {
  security_group_id            = aws_security_group.function.id
  referenced_security_group_id = aws_security_group.redis.id
  description                  = "Redis"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_ingress_rule" "redis_from_function" {
  security_group_id            = aws_security_group.redis.id
  referenced_security_group_id = aws_security_group.function.id
  description                  = "The functions"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_ingress_rule" "redis_from_group" {
  for_each = var.box_security_group_ids

  security_group_id            = aws_security_group.redis.id
  referenced_security_group_id = each.value
  description                  = "Boxes: ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_ingress_rule" "redis_from_cidr" {
  for_each = toset(var.box_cidrs)

  security_group_id = aws_security_group.redis.id
  cidr_ipv4         = each.value
  description       = "Boxes"
  ip_protocol       = "tcp"
  from_port         = local.port
  to_port           = local.port
}

resource "aws_security_group" "endpoint" {
  count = length(var.endpoints) > 0 ? 1 : 0

  name        = "${var.name}-endpoint"
  description = "AWS services that the functions call: from the functions."
  vpc_id      = local.vpc_id
  tags        = { Name = "${var.name}-endpoint" }
}

resource "aws_vpc_security_group_egress_rule" "function_to_endpoint" {
  count = length(aws_security_group.endpoint)

  security_group_id            = aws_security_group.function.id
  referenced_security_group_id = aws_security_group.endpoint[0].id
  description                  = "AWS services"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_ingress_rule" "endpoint_from_function" {
  count = length(aws_security_group.endpoint)

  security_group_id            = aws_security_group.endpoint[0].id
  referenced_security_group_id = aws_security_group.function.id
  description                  = "The functions"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

# The function reads Redis' URL from SSM, which has no other way into a VPC without NAT. Logs, metrics and traces need
# none: Lambda sends them itself. One zone by default, since each costs; if that zone is lost, functions that run go on,
# and new ones fail to start until it is back.
resource "aws_vpc_endpoint" "service" {
  for_each = toset(var.endpoints)

  vpc_id              = local.vpc_id
  service_name        = "com.amazonaws.${data.aws_region.current.id}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  security_group_ids  = [aws_security_group.endpoint[0].id]
  subnet_ids          = slice(local.subnet_ids, 0, var.endpoint_zones)
  tags                = { Name = "${var.name}-${each.value}" }

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "WhatTheFunctionAsks"
      Effect    = "Allow"
      Principal = "*"
      Action    = local.endpoint_permissions[each.value].actions
      Resource  = local.endpoint_permissions[each.value].resource
    }]
  })
}
