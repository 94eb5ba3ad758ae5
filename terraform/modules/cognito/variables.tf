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

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the pool; set it to false, and apply, before you destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "domain" {
  description = "First part of the host where clients get their tokens; must be free in the region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.domain)) && !can(regex("aws|amazon|cognito", var.domain))
    error_message = "domain must be 1 to 63 lower-case letters, digits and inner '-', without aws, amazon and cognito: Cognito refuses these."
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

variable "machine_client" {
  description = "Whether there is a client for programs, with a secret; false keeps that secret out of the state."
  type        = bool
  default     = true
  nullable    = false
}

variable "mfa" {
  description = "Whether people need a second factor, a code from an app: OFF, OPTIONAL or ON."
  type        = string
  default     = "OPTIONAL"
  nullable    = false

  validation {
    condition     = contains(["OFF", "OPTIONAL", "ON"], var.mfa)
    error_message = "mfa must be OFF, OPTIONAL or ON."
  }
}

variable "name" {
  description = "Name of the pool, such as lambda-router-prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,127}$", var.name))
    error_message = "name must be 1 to 128 letters, digits and '-', and begin with a letter or a digit."
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

variable "resource_server" {
  description = "First half of each scope, before the '/'."
  type        = string
  default     = "lambda-router"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,256}$", var.resource_server))
    error_message = "resource_server must be 1 to 256 letters, digits, '.', '_' and '-'."
  }
}

variable "scopes" {
  description = "Second halves of the scopes, and what people read about them."
  type        = map(string)
  default     = { jobs = "Send and read jobs" }
  nullable    = false

  validation {
    condition     = length(var.scopes) >= 1 && alltrue([for name, meaning in var.scopes : can(regex("^[A-Za-z0-9._-]{1,256}$", name)) && length(meaning) >= 1 && length(meaning) <= 256])
    error_message = "scopes must have at least one; each is 1 to 256 letters, digits, '.', '_' and '-', with a description of 1 to 256 characters."
  }
}

variable "tier" {
  description = "Cognito's feature plan: ESSENTIALS or PLUS."
  type        = string
  default     = "ESSENTIALS"
  nullable    = false

  validation {
    condition     = contains(["ESSENTIALS", "PLUS"], var.tier)
    error_message = "tier must be ESSENTIALS or PLUS: LITE has no rotation of refresh tokens."
  }
}
