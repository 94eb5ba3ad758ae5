# A user pool as docs/contract.md, "Tokens", wants it: scopes of our own, a client for machines and one for people.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  scopes = [for name in sort(keys(var.scopes)) : "${var.resource_server}/${name}"]

  # Cognito compares redirects as text, so a program that listens on this machine needs fixed ports; it takes the first
  # that is free. Nobody has registered these at IANA, and no system hands them out by itself (Linux begins at 32768).
  # The address, not `localhost`, as RFC 8252 advises (section 8.3); Cognito takes it since August 2025:
  # https://github.com/microsoft/vscode/issues/256122
  login_ports     = [28711, 28712, 28713, 28714, 28715]
  login_redirects = [for port in local.login_ports : "http://127.0.0.1:${port}/callback"]

  # Parents of the domains that Cognito gives, from https://publicsuffix.org/list/
  login_hosts = {
    aws        = "auth.${data.aws_region.current.id}.amazoncognito.com"
    aws-us-gov = "auth-fips.${data.aws_region.current.id}.amazoncognito.com"
    aws-eusc   = "auth.cognito-idp.${data.aws_region.current.id}.on.amazonwebservices.eu"
  }
  domain_url = "https://${var.domain}.${local.login_hosts[data.aws_partition.current.partition]}"
}

resource "aws_cognito_user_pool" "pool" {
  name                     = var.name
  deletion_protection      = var.deletion_protection ? "ACTIVE" : "INACTIVE"
  user_pool_tier           = var.tier
  mfa_configuration        = var.mfa
  username_attributes      = ["email"]
  auto_verified_attributes = ["email"]

  # Whoever could sign up could send jobs.
  admin_create_user_config {
    allow_admin_create_user_only = true
  }

  account_recovery_setting {
    recovery_mechanism {
      name     = "verified_email"
      priority = 1
    }
  }

  password_policy {
    minimum_length                   = 12
    require_lowercase                = true
    require_numbers                  = true
    require_symbols                  = false
    require_uppercase                = true
    temporary_password_validity_days = 7
  }

  dynamic "software_token_mfa_configuration" {
    for_each = var.mfa == "OFF" ? [] : [true]

    content {
      enabled = true
    }
  }

  user_attribute_update_settings {
    attributes_require_verification_before_update = ["email"]
  }

  username_configuration {
    case_sensitive = false
  }
}

resource "aws_cognito_user_pool_domain" "login" {
  user_pool_id = aws_cognito_user_pool.pool.id
  domain       = var.domain

  # The classic pages. Version 2 shows an error until it has a branding, which provider 5.100 can't create.
  managed_login_version = 1
}

resource "aws_cognito_resource_server" "router" {
  user_pool_id = aws_cognito_user_pool.pool.id
  identifier   = var.resource_server
  name         = var.resource_server

  dynamic "scope" {
    for_each = var.scopes

    content {
      scope_name        = scope.key
      scope_description = scope.value
    }
  }
}

# For programs: client credentials. The state holds its secret, as README.md says.
resource "aws_cognito_user_pool_client" "machine" {
  count = var.machine_client ? 1 : 0

  user_pool_id    = aws_cognito_user_pool.pool.id
  name            = "machine"
  generate_secret = true

  allowed_oauth_flows                  = ["client_credentials"]
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_scopes                 = local.scopes
  enable_token_revocation              = true
  prevent_user_existence_errors        = "ENABLED"

  # Nobody signs in with this client; naming no flow would mean Cognito's own choice, with passwords.
  explicit_auth_flows = ["ALLOW_REFRESH_TOKEN_AUTH"]

  access_token_validity  = var.access_token_minutes
  id_token_validity      = var.id_token_minutes
  refresh_token_validity = var.refresh_token_days

  token_validity_units {
    access_token  = "minutes"
    id_token      = "minutes"
    refresh_token = "days"
  }

  depends_on = [aws_cognito_resource_server.router] # which must know the scopes
}

# For people at a command line: authorization code with PKCE, hence no secret.
resource "aws_cognito_user_pool_client" "login" {
  user_pool_id    = aws_cognito_user_pool.pool.id
  name            = "login"
  generate_secret = false

  allowed_oauth_flows                  = ["code"]
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_scopes                 = concat(["email", "openid"], local.scopes)
  callback_urls                        = local.login_redirects
  enable_token_revocation              = true
  prevent_user_existence_errors        = "ENABLED"
  supported_identity_providers         = ["COGNITO"]

  # Rotation forbids ALLOW_REFRESH_TOKEN_AUTH, and naming no flow would allow it. SRP is a flow that shows nobody the
  # password, and its tokens lack our scopes:
  # https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html
  explicit_auth_flows = ["ALLOW_USER_SRP_AUTH"]

  refresh_token_rotation {
    feature                    = "ENABLED"
    retry_grace_period_seconds = 30 # for an answer that got lost
  }

  access_token_validity  = var.access_token_minutes
  id_token_validity      = var.id_token_minutes
  refresh_token_validity = var.refresh_token_days

  token_validity_units {
    access_token  = "minutes"
    id_token      = "minutes"
    refresh_token = "days"
  }

  depends_on = [aws_cognito_resource_server.router]
}
