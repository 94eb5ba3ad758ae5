# From an empty account to the first job: user pool, Redis, the stack, and what its own pages need. README.md has the commands.

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "current" {}

locals {
  name       = "${var.app_name}-${var.stage_name}"
  parameters = "/${var.app_name}/${var.stage_name}"

  # What the stack is given; `make doctor` reads it in output stack_variables.
  stack = {
    app_name                    = var.app_name
    api_stage_name              = length(aws_api_gateway_account.logs) > 1 ? "" : "api" # after the role: the stage writes logs
    aws_region                  = var.aws_region
    stage_name                  = var.stage_name
    tags                        = var.tags
    cognito_aud                 = module.cognito.stack_variables.cognito_aud
    cognito_aud_parameter       = "${local.parameters}/pages-client"
    cognito_domain              = module.cognito.stack_variables.cognito_domain
    cognito_jwks                = var.cognito_jwks
    cognito_login_client_id     = module.cognito.stack_variables.cognito_login_client_id
    cognito_user_pool_arn       = module.cognito.stack_variables.cognito_user_pool_arn
    cognito_user_pool_id        = module.cognito.stack_variables.cognito_user_pool_id
    redis_ca_parameter          = join("", module.valkey[*].parameters.redis_authority)
    redis_url_parameter         = one(concat(module.valkey[*].parameters.redis_url, module.elasticache[*].stack_variables.redis_url_parameter))
    reserved_concurrency        = var.reserved_concurrency
    router_docs                 = var.router_docs
    router_queue                = var.queue
    router_queue_bytes_cap      = var.redis == "valkey" ? 240000000 : 536870912 # two thirds of what the instance gives Redis
    stream_reserved_concurrency = var.reserved_concurrency
    vpc_config                  = one(module.elasticache[*].stack_variables.vpc_config)
  }

  tags = merge(var.tags, {
    Application = var.app_name
    Stage       = var.stage_name
    ManagedBy   = "terraform"
  })
}

################################################################################
# The stack
################################################################################

# It has a provider of its own, so `depends_on` is not allowed here, and a backend, which Terraform warns to ignore.
module "stack" {
  source = "../../"

  app_name                    = local.stack.app_name
  api_stage_name              = local.stack.api_stage_name
  aws_region                  = local.stack.aws_region
  stage_name                  = local.stack.stage_name
  tags                        = local.stack.tags
  cognito_aud                 = local.stack.cognito_aud
  cognito_aud_parameter       = local.stack.cognito_aud_parameter
  cognito_domain              = local.stack.cognito_domain
  cognito_jwks                = local.stack.cognito_jwks
  cognito_login_client_id     = local.stack.cognito_login_client_id
  cognito_user_pool_arn       = local.stack.cognito_user_pool_arn
  cognito_user_pool_id        = local.stack.cognito_user_pool_id
  redis_ca_parameter          = local.stack.redis_ca_parameter
  redis_url_parameter         = local.stack.redis_url_parameter
  reserved_concurrency        = local.stack.reserved_concurrency
  router_docs                 = local.stack.router_docs
  router_queue                = local.stack.router_queue
  router_queue_bytes_cap      = local.stack.router_queue_bytes_cap
  stream_reserved_concurrency = local.stack.stream_reserved_concurrency
  vpc_config                  = local.stack.vpc_config
}

# Its client returns to the API's address, so it comes after the stage. The function learns its id from a parameter.
module "pages_client" {
  source = "../../modules/pages_client"

  api_url      = module.stack.api_url
  parameter    = local.stack.cognito_aud_parameter
  scopes       = module.cognito.scopes
  user_pool_id = module.cognito.id
}

################################################################################
# Who may call
################################################################################

module "cognito" {
  source = "../../modules/cognito"

  name                = local.name
  deletion_protection = var.keep

  # Free in the region, since nobody else has this account.
  domain = coalesce(var.domain, "${local.name}-${data.aws_caller_identity.current.account_id}")
}

################################################################################
# Redis: one of two homes
################################################################################

module "valkey" {
  source = "../../modules/valkey"
  count  = var.redis == "valkey" ? 1 : 0

  app_name   = var.app_name
  stage_name = var.stage_name
  queues     = [var.queue]
}

module "elasticache" {
  source = "../../modules/elasticache"
  count  = var.redis == "elasticache" ? 1 : 0

  name             = local.name
  parameter_prefix = local.parameters
  queues           = [var.queue]
}

################################################################################
# Supporting Resources
################################################################################

# What the account has one of in each region: the role with which API Gateway writes logs. docs/deploy.md makes it by hand.

resource "aws_iam_role" "gateway_logs" {
  count = var.gateway_logs_role ? 1 : 0

  name        = "${local.name}-gateway-logs"
  description = "API Gateway's logs, of all APIs of the account in ${var.aws_region}."

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "apigateway.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

data "aws_partition" "current" {}

resource "aws_iam_role_policy_attachment" "gateway_logs" {
  count = length(aws_iam_role.gateway_logs)

  role       = aws_iam_role.gateway_logs[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "logs" {
  count = length(aws_iam_role.gateway_logs)

  cloudwatch_role_arn = aws_iam_role.gateway_logs[0].arn

  depends_on = [aws_iam_role_policy_attachment.gateway_logs]
}
