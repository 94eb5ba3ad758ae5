# What a person with an administrator's rights makes once for each stack: the roles that GitHub Actions takes on, and the
# boundary that they cannot leave. What an account has one of is not made here: docs/deploy.md says how.

module "iam" {
  source = "../modules/iam"

  name = "${var.app_name}-${var.stage_name}"

  github = merge(var.github, {
    state_bucket   = var.state_bucket
    state_key      = "${var.app_name}/${var.stage_name}.tfstate"
    outputs_prefix = "/${var.app_name}/${var.stage_name}/outputs"
    own_tags       = { Application = var.app_name, Stage = var.stage_name } # as the stack's provider tags everything
  })
}

# Releases before this one made these here. Other stacks of the account may use them, so they are forgotten, not destroyed.
removed {
  from = aws_api_gateway_account.logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = module.iam.aws_iam_openid_connect_provider.github

  lifecycle {
    destroy = false
  }
}

removed {
  from = module.iam.aws_iam_role.gateway_logs

  lifecycle {
    destroy = false
  }
}

removed {
  from = module.iam.aws_iam_role_policy_attachment.gateway_logs

  lifecycle {
    destroy = false
  }
}
