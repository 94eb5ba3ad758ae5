# modules/cognito and modules/pages_client by themselves; tests/deploy/test_user_pool.py applies both to moto.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  domain = "octo-router-prod"
  name   = "lambda-router-prod"
}

run "pool" {
  module {
    source = "./modules/cognito"
  }

  assert {
    condition     = aws_cognito_user_pool.pool.deletion_protection == "ACTIVE" && one(aws_cognito_user_pool.pool.admin_create_user_config).allow_admin_create_user_only
    error_message = "The pool outlives a mistake, and nobody signs up by himself."
  }
  assert {
    condition     = output.scopes == ["lambda-router/jobs"]
    error_message = "The scope is the one that the stack wants by default."
  }
  assert {
    condition     = aws_cognito_user_pool_client.machine[0].generate_secret && aws_cognito_user_pool_client.machine[0].allowed_oauth_flows == toset(["client_credentials"])
    error_message = "Programs have a secret, and no other grant."
  }
  assert {
    condition     = !aws_cognito_user_pool_client.login.generate_secret && aws_cognito_user_pool_client.login.allowed_oauth_flows == toset(["code"])
    error_message = "People's client has no secret: PKCE."
  }
  assert {
    condition     = aws_cognito_user_pool_client.login.refresh_token_rotation[0].feature == "ENABLED" && !contains(aws_cognito_user_pool_client.login.explicit_auth_flows, "ALLOW_REFRESH_TOKEN_AUTH")
    error_message = "A refresh token is good once; Cognito refuses both together."
  }
  assert {
    condition     = length(distinct(output.login_redirects)) == 5 && alltrue([for url in output.login_redirects : can(regex("^http://127\\.0\\.0\\.1:(1[0-9]|2[0-9]|3[01])[0-9]{3}/callback$", url))])
    error_message = "Five ports on this machine, from 10000 to 31999."
  }
  assert {
    condition     = output.stack_variables.cognito_user_pool_id == "eu-central-1_AbCdEf123" && output.stack_variables.cognito_aud == "${output.machine_client_id},${output.login_client_id}" && output.stack_variables.cognito_login_client_id == output.login_client_id && output.stack_variables.cognito_domain == output.domain_url
    error_message = "The stack takes the tokens of both clients, and tells callers of the one for people."
  }
  assert {
    condition     = output.token_url == "https://octo-router-prod.auth.eu-central-1.amazoncognito.com/oauth2/token"
    error_message = "The token's address is the domain's."
  }
  assert {
    condition     = output.issuer == "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEf123"
    error_message = "The issuer is the pool's."
  }
}

run "without_a_secret_in_the_state" {
  command = plan
  module {
    source = "./modules/cognito"
  }
  variables {
    machine_client = false
  }

  assert {
    condition     = length(aws_cognito_user_pool_client.machine) == 0 && output.machine_client_id == null
    error_message = "No client with a secret is made."
  }
}

run "hosts_of_govcloud" {
  module {
    source = "./modules/cognito"
  }
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-us-gov" }
  }
  override_data {
    target = data.aws_region.current
    values = { id = "us-gov-west-1" }
  }

  assert {
    condition     = output.domain_url == "https://octo-router-prod.auth-fips.us-gov-west-1.amazoncognito.com"
    error_message = "GovCloud has FIPS hosts only."
  }
}

run "refuses_what_cognito_refuses" {
  command = plan
  module {
    source = "./modules/cognito"
  }
  variables {
    access_token_minutes = 1441
    domain               = "my-cognito"
    id_token_minutes     = 4
    mfa                  = "on"
    name                 = "a pool"
    refresh_token_days   = 0
    resource_server      = "lambda router"
    scopes               = {}
    tier                 = "LITE"
  }
  expect_failures = [
    var.access_token_minutes, var.domain, var.id_token_minutes, var.mfa, var.name, var.refresh_token_days,
    var.resource_server, var.scopes, var.tier,
  ]
}

run "pages" {
  module {
    source = "./modules/pages_client"
  }
  variables {
    callback_urls = ["https://api.example.com/api/docs"]
    parameter     = "/lambda-router/prod/pages-client"
    scopes        = ["lambda-router/jobs"]
    user_pool_id  = "eu-central-1_AbCdEf123"
  }

  assert {
    condition     = aws_ssm_parameter.client.name == "/lambda-router/prod/pages-client" && aws_ssm_parameter.client.type == "String" && aws_ssm_parameter.client.value == output.client_id
    error_message = "The function finds the client's id in the parameter."
  }
  assert {
    condition     = !aws_cognito_user_pool_client.pages.generate_secret && aws_cognito_user_pool_client.pages.refresh_token_rotation[0].feature == "ENABLED"
    error_message = "A page has no secret, and its refresh token is good once."
  }
  assert {
    condition     = output.stack_variables == { cognito_aud_parameter = "/lambda-router/prod/pages-client" }
    error_message = "The stack is told the parameter's name."
  }
  assert {
    condition     = toset(aws_cognito_user_pool_client.pages.callback_urls) == toset(["https://api.example.com/api/docs"])
    error_message = "Without the API's address it returns where callback_urls says."
  }
}

run "pages_of_the_api" {
  module {
    source = "./modules/pages_client"
  }
  variables {
    api_url      = "https://api.example.com/api"
    logout_urls  = ["https://app.example.com/"]
    parameter    = "/lambda-router/prod/pages-client"
    scopes       = ["lambda-router/jobs"]
    user_pool_id = "eu-central-1_AbCdEf123"
  }

  assert {
    condition     = toset(aws_cognito_user_pool_client.pages.callback_urls) == toset(["https://api.example.com/api/", "https://api.example.com/api/docs/oauth2-redirect"])
    error_message = "It returns to the playground and to /docs."
  }
  assert {
    condition     = toset(aws_cognito_user_pool_client.pages.logout_urls) == toset(["https://api.example.com/api/", "https://app.example.com/"])
    error_message = "A sign-out returns to the playground."
  }
}

run "refuses_no_pages" {
  command = plan
  module {
    source = "./modules/pages_client"
  }
  variables {
    parameter    = "/lambda-router/prod/pages-client"
    scopes       = ["lambda-router/jobs"]
    user_pool_id = "eu-central-1_AbCdEf123"
  }
  expect_failures = [var.callback_urls]
}

run "refuses_an_address_with_a_query" {
  command = plan
  module {
    source = "./modules/pages_client"
  }
  variables {
    api_url      = "https://api.example.com/?stage"
    parameter    = "/lambda-router/prod/pages-client"
    scopes       = ["lambda-router/jobs"]
    user_pool_id = "eu-central-1_AbCdEf123"
  }
  expect_failures = [var.api_url]
}

run "refuses_other_pages" {
  command = plan
  module {
    source = "./modules/pages_client"
  }
  variables {
    access_token_minutes = 0
    callback_urls        = ["http://api.example.com/docs"]
    id_token_minutes     = 0
    logout_urls          = ["https://api.example.com/#"]
    name                 = ""
    parameter            = "pages-client"
    refresh_token_days   = 0
    scopes               = ["jobs"]
    user_pool_id         = "AbCdEf123"
  }
  expect_failures = [
    var.access_token_minutes, var.callback_urls, var.id_token_minutes, var.logout_urls, var.name, var.parameter,
    var.refresh_token_days, var.scopes, var.user_pool_id,
  ]
}
