output "boundary_policy_arn" {
  description = "ARN of the policy that bounds every role the deploy role makes; null without github."
  value       = one(aws_iam_policy.boundary[*].arn)
}

output "canary_role_arn" {
  description = "ARN of the role that goes back to an older version; null without github."
  value       = try(aws_iam_role.github["canary"].arn, null)
}

output "deploy_role_arn" {
  description = "ARN of the role that deploys; null without github."
  value       = try(aws_iam_role.github["deploy"].arn, null)
}

output "oidc_provider_arn" {
  description = "ARN of GitHub's OpenID Connect provider; null without github."
  value       = local.provider_arn
}

output "plan_role_arn" {
  description = "ARN of the role that plans; null without github."
  value       = try(aws_iam_role.github["plan"].arn, null)
}

output "runtime_role_arn" {
  description = "ARN of the function's role, once its policy stands; null without runtime."
  value       = one(aws_iam_role.runtime[*].arn)
  depends_on  = [aws_iam_role_policy.runtime]
}
