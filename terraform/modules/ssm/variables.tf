variable "prefix" {
  description = "What the names of the written parameters begin with."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.prefix)) && !can(regex("^/(aws|ssm)", lower(var.prefix)))
    error_message = "prefix must begin with '/', must not end with it, and may not begin with /aws or /ssm, which are AWS's."
  }
}

variable "reads" {
  description = "Names of parameters that a function reads, by what they mean. You create them; their values never come here."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in values(var.reads) : can(regex("^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", name))])
    error_message = "Each of reads must be the name of a parameter, such as /lambda-router/prod/redis-url: never its value."
  }
}

variable "writes" {
  description = "Values to write, by the last part of the parameter's name. Anyone with the state can read them: no secrets."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.writes) : can(regex("^[a-z][a-z0-9_]*$", name))])
    error_message = "Each name in writes must be lower-case letters, digits and '_', and begin with a letter."
  }

  validation {
    condition     = !anytrue([for name in keys(var.writes) : can(regex("secret|password|token|redis_url", name))])
    error_message = "writes must not hold secrets: create a SecureString yourself and pass its name in reads."
  }
}
