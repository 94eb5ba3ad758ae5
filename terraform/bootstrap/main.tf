# What a person with an administrator's rights makes once for each stack: the roles that GitHub Actions takes on, the
# boundary that they cannot leave, and API Gateway's right to write logs. docs/deploy.md says how.

module "iam" {
  source = "../modules/iam"

  name         = "${var.app_name}-${var.stage_name}"
  gateway_logs = var.api_account_role

  github = merge(var.github, {
    state_bucket   = var.state_bucket
    state_key      = "${var.app_name}/${var.stage_name}.tfstate"
    outputs_prefix = "/${var.app_name}/${var.stage_name}/outputs"
  })
}

# One setting for the account and region.
resource "aws_api_gateway_account" "logs" {
  count = var.api_account_role ? 1 : 0

  cloudwatch_role_arn = module.iam.gateway_logs_role_arn
}
