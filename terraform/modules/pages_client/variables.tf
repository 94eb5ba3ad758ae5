variable "access_token_minutes" {
  description = "Minutes for which an access token is good."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.access_token_minutes >= 5 && var.access_token_minutes <= 1440 && floor(var.access_token_minutes) == var.access_token_minutes
    error_message = "access_token_minutes must be a whole number from 5 to 1440 (a day): Cognito takes nothing else."
  }
}

variable "api_url" {
  description = "The stack's api_url, whose pages people sign in at: the playground at / and /docs."
  type        = string
  default     = null

  validation {
    condition     = var.api_url == null || can(regex("^(https://[^#?]+|http://(localhost|127\\.0\\.0\\.1)(:[0-9]+)?(/[^#?]*)?)$", var.api_url))
    error_message = "api_url must begin with https://, or http://localhost or http://127.0.0.1, and have no '#' or '?'."
  }
}

variable "callback_urls" {
  description = "Further addresses to which a sign-in may return, compared as text, such as those of other pages."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for url in var.callback_urls : can(regex("^(https://[^#]+|http://(localhost|127\\.0\\.0\\.1)(:[0-9]+)?(/[^#]*)?)$", url))])
    error_message = "Each of callback_urls begins with https://, or http://localhost or http://127.0.0.1, and has no '#': Cognito takes no others."
  }

  validation {
    condition     = var.api_url != null || length(var.callback_urls) >= 1
    error_message = "callback_urls must have at least one where api_url is not set."
  }
}

variable "id_token_minutes" {
  description = "Minutes for which an id token is good."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.id_token_minutes >= 5 && var.id_token_minutes <= 1440 && floor(var.id_token_minutes) == var.id_token_minutes
    error_message = "id_token_minutes must be a whole number from 5 to 1440 (a day): Cognito takes nothing else."
  }
}

variable "logout_urls" {
  description = "Further addresses to which a sign-out may return."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for url in var.logout_urls : can(regex("^(https://[^#]+|http://(localhost|127\\.0\\.0\\.1)(:[0-9]+)?(/[^#]*)?)$", url))])
    error_message = "Each of logout_urls must begin with https://, or http://localhost or http://127.0.0.1, and have no '#': Cognito takes no others."
  }
}

variable "name" {
  description = "Name of the client."
  type        = string
  default     = "pages"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,127}$", var.name))
    error_message = "name must be 1 to 128 letters, digits and '-', and begin with a letter or a digit."
  }
}

variable "parameter" {
  description = "Name of the SSM parameter that gets the client's id, such as /lambda-router/prod/pages-client."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.parameter)) && !can(regex("^/(aws|ssm)", lower(var.parameter)))
    error_message = "parameter must begin with '/', must not end with it, and may not begin with /aws or /ssm, which are AWS's."
  }
}

variable "refresh_token_days" {
  description = "Days after which people have to sign in again."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.refresh_token_days >= 1 && var.refresh_token_days <= 3650 && floor(var.refresh_token_days) == var.refresh_token_days
    error_message = "refresh_token_days must be a whole number from 1 to 3650: Cognito takes nothing else."
  }
}

variable "scopes" {
  description = "Scopes that the pages may ask for, such as lambda-router/jobs: output scopes of modules/cognito."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.scopes) >= 1 && alltrue([for scope in var.scopes : can(regex("^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", scope))])
    error_message = "scopes must have at least one, each in the form server/name, such as lambda-router/jobs."
  }
}

variable "user_pool_id" {
  description = "Id of the pool."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[\\w-]+_[0-9A-Za-z]+$", var.user_pool_id))
    error_message = "user_pool_id must look like eu-central-1_AbCdEf123."
  }
}
