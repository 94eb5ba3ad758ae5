output "client_id" {
  description = "Id of the client. No secret."
  value       = aws_cognito_user_pool_client.pages.id
}

output "stack_variables" {
  description = "Value for the stack's variable of this name. It is known before the client exists."
  value       = { cognito_aud_parameter = var.parameter }
}
