# terraform/bootstrap by itself.

mock_provider "aws" {
  source = "../tests/mocks"
}

run "roles" {
  variables {
    aws_region   = "eu-central-1"
    stage_name   = "prod"
    state_bucket = "octo-state"
    github       = { owner = "octo", repository = "router", environment = "prod", vpc = true, kms_key_arns = ["arn:aws:kms:eu-central-1:123456789012:key/1"] }
  }

  assert {
    condition     = output.plan_role_arn != null && output.deploy_role_arn != null && output.boundary_policy_arn != null
    error_message = "Both roles and the boundary are made."
  }
}
