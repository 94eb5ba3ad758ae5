# A client for pages that the API serves itself. They return from the sign-in to the API's address, which is known only
# once the stage exists. So this is applied after the stack, and its id reaches the function by a parameter, whose name
# the stack knows beforehand: no circle.

locals {
  # As tools/doctor/redirects.py. Cognito compares them as text, so each has its own form with and without a '/' at its end.
  api_urls      = [for url in var.api_url[*] : trimsuffix(url, "/")]
  callback_urls = concat([for url in local.api_urls : "${url}/"], [for url in local.api_urls : "${url}/docs/oauth2-redirect"], var.callback_urls)
  logout_urls   = concat([for url in local.api_urls : "${url}/"], var.logout_urls)
}

resource "aws_cognito_user_pool_client" "pages" {
  user_pool_id    = var.user_pool_id
  name            = var.name
  generate_secret = false # a page can't keep one: authorization code with PKCE

  allowed_oauth_flows                  = ["code"]
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_scopes                 = concat(["email", "openid"], var.scopes)
  callback_urls                        = local.callback_urls
  enable_token_revocation              = true
  logout_urls                          = local.logout_urls
  prevent_user_existence_errors        = "ENABLED"
  supported_identity_providers         = ["COGNITO"]

  # The reasons are those of modules/cognito.
  explicit_auth_flows = ["ALLOW_USER_SRP_AUTH"]

  refresh_token_rotation {
    feature                    = "ENABLED"
    retry_grace_period_seconds = 30
  }

  access_token_validity  = var.access_token_minutes
  id_token_validity      = var.id_token_minutes
  refresh_token_validity = var.refresh_token_days

  token_validity_units {
    access_token  = "minutes"
    id_token      = "minutes"
    refresh_token = "days"
  }
}

resource "aws_ssm_parameter" "client" {
  # checkov:skip=CKV2_AWS_34: a client's id is in the address of each sign-in, so it is not secret.
  name        = var.parameter
  description = "Id of the app client of the API's own pages, for COGNITO_AUD_PARAMETER."
  type        = "String"
  value       = aws_cognito_user_pool_client.pages.id
}
