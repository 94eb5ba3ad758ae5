output "boundary_policy_arn" {
  description = "For the stack's permissions_boundary_arn."
  value       = module.iam.boundary_policy_arn
}

output "canary_role_arn" {
  description = "For the job that goes back to the version before."
  value       = module.iam.canary_role_arn
}

output "deploy_role_arn" {
  description = "For the job that deploys."
  value       = module.iam.deploy_role_arn
}

output "plan_role_arn" {
  description = "For the job that plans."
  value       = module.iam.plan_role_arn
}
