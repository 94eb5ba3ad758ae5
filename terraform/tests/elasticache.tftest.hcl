# modules/elasticache by itself, against mocks only: moto lacks parameter groups, user groups and half of the rest.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name             = "lambda-router-prod"
  parameter_prefix = "/lambda-router/prod"
}

run "redis" {
  module {
    source = "./modules/elasticache"
  }

  assert {
    condition     = aws_elasticache_replication_group.redis.transit_encryption_enabled && aws_elasticache_replication_group.redis.transit_encryption_mode == "required" && aws_elasticache_replication_group.redis.at_rest_encryption_enabled == "true"
    error_message = "TLS only, and encrypted disks."
  }
  assert {
    condition     = aws_elasticache_replication_group.redis.multi_az_enabled && aws_elasticache_replication_group.redis.automatic_failover_enabled && aws_elasticache_replication_group.redis.num_cache_clusters == 2
    error_message = "Two nodes in two zones."
  }
  assert {
    condition     = aws_elasticache_parameter_group.redis.family == "valkey8" && aws_elasticache_parameter_group.redis.parameter == toset([{ name = "maxmemory-policy", value = "noeviction" }])
    error_message = "Nothing is evicted."
  }
  assert {
    condition     = length(distinct(aws_subnet.own[*].availability_zone)) == 2 && length(distinct(aws_subnet.own[*].cidr_block)) == 2
    error_message = "The subnets are in different zones."
  }
  assert {
    condition     = length(aws_default_security_group.own[0].egress) == 0 && alltrue([for rule in [aws_vpc_security_group_egress_rule.function_to_redis, aws_vpc_security_group_egress_rule.function_to_endpoint[0]] : rule.cidr_ipv4 == null])
    error_message = "The VPC has no way out."
  }
  assert {
    condition     = aws_elasticache_user.default.user_name == "default" && startswith(aws_elasticache_user.default.access_string, "off ")
    error_message = "Who gives no name gets in nowhere."
  }
  assert {
    condition     = { for name, user in aws_elasticache_user.side : name => user.user_name } == { router = "router", worker = "worker" } && alltrue([for user in aws_elasticache_user.side : startswith(user.access_string, "on ~lr:{tinyllama}:* -@all +ping ")])
    error_message = "Each user has its commands, on the keys of the queue alone."
  }
  assert {
    condition     = alltrue([for user in concat(values(aws_elasticache_user.side), [aws_elasticache_user.default]) : nonsensitive(can(regex("^[0-9a-f]{64}$", one(user.passwords))))]) && length(distinct([for user in aws_elasticache_user.side : nonsensitive(sha256(one(user.passwords)))])) == 2
    error_message = "Each has a password of its own, of 256 bits."
  }
  assert {
    condition     = { for name, parameter in aws_ssm_parameter.url : name => parameter.name } == { router = "/lambda-router/prod/redis-url", worker = "/lambda-router/prod/worker-redis-url" } && alltrue([for parameter in aws_ssm_parameter.url : parameter.type == "SecureString"])
    error_message = "The URLs are secrets."
  }
  assert {
    condition     = keys(aws_vpc_endpoint.service) == ["ssm"] && length(aws_vpc_endpoint.service["ssm"].subnet_ids) == 1 && aws_vpc_endpoint.service["ssm"].private_dns_enabled
    error_message = "Just the endpoint that the function needs, in one zone."
  }
  assert {
    condition     = jsondecode(aws_vpc_endpoint.service["ssm"].policy).Statement[0].Resource == "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/*"
    error_message = "It leads to the stack's own parameters."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.redis_from_function.referenced_security_group_id == aws_security_group.function.id && length(aws_vpc_security_group_ingress_rule.redis_from_group) + length(aws_vpc_security_group_ingress_rule.redis_from_cidr) == 0
    error_message = "Only the function reaches Redis unless boxes are named."
  }
  assert {
    condition     = output.stack_variables.redis_url_parameter == "/lambda-router/prod/redis-url" && output.stack_variables.vpc_config.security_group_ids == [aws_security_group.function.id] && length(output.stack_variables.vpc_config.subnet_ids) == 2
    error_message = "The stack gets its parameter and its place in the VPC."
  }
}

run "more_of_everything" {
  command = plan
  module {
    source = "./modules/elasticache"
  }
  variables {
    endpoint_zones = 2
    endpoints      = ["kms", "ssm"]
    queues         = ["tinyllama", "llava"]
  }

  assert {
    condition     = startswith(aws_elasticache_user.side["worker"].access_string, "on ~lr:{tinyllama}:* ~lr:{llava}:* -@all ")
    error_message = "A pattern for each queue."
  }
  assert {
    condition     = keys(aws_vpc_endpoint.service) == ["kms", "ssm"] && alltrue([for endpoint in aws_vpc_endpoint.service : length(endpoint.subnet_ids) == 2])
    error_message = "Both services, in both zones."
  }
}

run "in_a_vpc_that_is_there" {
  command = plan
  module {
    source = "./modules/elasticache"
  }
  variables {
    box_cidrs              = ["10.8.0.0/24"]
    box_security_group_ids = { tunnel = "sg-0123456789abcdef0" }
    endpoints              = []
    network                = { vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-1", "subnet-2"] }
    replicas               = 0
  }

  assert {
    condition     = length(aws_vpc.own) + length(aws_vpc_endpoint.service) + length(aws_security_group.endpoint) == 0
    error_message = "No network is made, and no endpoint."
  }
  assert {
    condition     = aws_elasticache_subnet_group.redis.subnet_ids == toset(["subnet-1", "subnet-2"]) && output.vpc_id == "vpc-0123456789abcdef0"
    error_message = "Redis is in the given subnets."
  }
  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.redis_from_group) == ["tunnel"] && keys(aws_vpc_security_group_ingress_rule.redis_from_cidr) == ["10.8.0.0/24"]
    error_message = "Boxes reach Redis, from their group or through a tunnel."
  }
  assert {
    condition     = !aws_elasticache_replication_group.redis.multi_az_enabled && aws_elasticache_replication_group.redis.num_cache_clusters == 1
    error_message = "One node, for those who want it cheap."
  }
}

run "refuses_what_cannot_work" {
  command = plan
  module {
    source = "./modules/elasticache"
  }
  variables {
    box_cidrs               = ["0.0.0.0/0"]
    box_security_group_ids  = { boxes = "boxes" }
    endpoint_zones          = 3
    engine_version          = "6.2"
    kms_key_arn             = "alias/mine"
    name                    = "Router"
    network                 = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"] }
    node_type               = "t4g.micro"
    parameter_prefix        = "lambda-router"
    queues                  = ["Llava"]
    replicas                = 6
    snapshot_retention_days = 36
    vpc_cidr                = "10.64.0.0/24"
  }
  expect_failures = [
    var.box_cidrs, var.box_security_group_ids, var.endpoint_zones, var.engine_version, var.kms_key_arn,
    var.name, var.network, var.node_type, var.parameter_prefix, var.queues, var.replicas, var.snapshot_retention_days,
    var.vpc_cidr,
  ]
}

run "refuses_an_endpoint_that_would_not_do" {
  command = plan
  module {
    source = "./modules/elasticache"
  }
  variables {
    endpoints = ["cognito-idp", "ssm"]
  }
  expect_failures = [var.endpoints]
}

run "needs_a_way_to_ssm" {
  command = plan
  module {
    source = "./modules/elasticache"
  }
  variables {
    endpoints = []
  }
  expect_failures = [var.endpoints]
}
