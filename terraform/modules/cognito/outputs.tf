output "arn" {
  description = "ARN of the pool, also for attribute user_pool_arn of terraform/bootstrap."
  value       = aws_cognito_user_pool.pool.arn
}

output "domain_url" {
  description = "Where people sign in and clients get tokens."
  value       = local.domain_url
}

output "id" {
  description = "Id of the pool."
  value       = aws_cognito_user_pool.pool.id
}

output "issuer" {
  description = "The iss claim of the pool's tokens; /.well-known/jwks.json below it has the signing keys."
  value       = "https://${aws_cognito_user_pool.pool.endpoint}"
}

output "login_client_id" {
  description = "Id of the client for people at a command line. No secret."
  value       = aws_cognito_user_pool_client.login.id
}

output "login_redirects" {
  description = "Addresses on one's own machine to which that client's sign-in may return."
  value       = local.login_redirects
}

output "machine_client_id" {
  description = "Id of the client for programs; null without one."
  value       = one(aws_cognito_user_pool_client.machine[*].id)
}

output "scopes" {
  description = "Scopes that the clients may ask for."
  value       = local.scopes
  depends_on  = [aws_cognito_resource_server.router] # a client may name a scope only once the pool knows it
}

output "stack_variables" {
  description = "Values for the stack's variables of these names."
  value = {
    cognito_aud             = join(",", concat(aws_cognito_user_pool_client.machine[*].id, [aws_cognito_user_pool_client.login.id]))
    cognito_domain          = local.domain_url
    cognito_login_client_id = aws_cognito_user_pool_client.login.id
    cognito_user_pool_arn   = aws_cognito_user_pool.pool.arn
    cognito_user_pool_id    = aws_cognito_user_pool.pool.id
  }
}

output "token_url" {
  description = "Where clients exchange what they have for a token."
  value       = "${local.domain_url}/oauth2/token"
}
