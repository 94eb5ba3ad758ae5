variable "box_cidrs" {
  description = "Addresses from which boxes reach Redis, such as the network behind a WireGuard peer or a VPN."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.box_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Each of box_cidrs must be a network such as 10.8.0.0/24, and not the whole Internet: Redis has no public address."
  }
}

variable "box_security_group_ids" {
  description = "Security groups whose members reach Redis, by a name of your choice: boxes inside the VPC, or the instance where a tunnel ends."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for id in values(var.box_security_group_ids) : startswith(id, "sg-")])
    error_message = "Each of box_security_group_ids must be the id of a security group, such as { boxes = \"sg-0123456789abcdef0\" }."
  }
}

variable "endpoint_zones" {
  description = "In how many zones each endpoint is. Each zone costs; with one, functions can't start while that zone is lost."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = contains([1, 2], var.endpoint_zones)
    error_message = "endpoint_zones must be 1 or 2."
  }
}

variable "endpoints" {
  description = "AWS services that get an interface endpoint: ssm, for the URL; kms too, for encrypted jobs. Empty for a VPC that has a way to them."
  type        = list(string)
  default     = ["ssm"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.endpoints, ["kms", "ssm"])) == 0
    error_message = "endpoints may name ssm and kms, which the function calls. A Cognito pool with a domain can't be reached through one: set the stack's cognito_jwks."
  }

  validation {
    condition     = var.network != null || contains(var.endpoints, "ssm")
    error_message = "endpoints must name ssm, unless network names a VPC that has a way to SSM: the function could not read the URL."
  }
}

variable "engine_version" {
  description = "Version of Valkey. ElastiCache installs its patches by itself."
  type        = string
  default     = "8.1"
  nullable    = false

  validation {
    condition     = can(regex("^(7\\.2|[89]\\.[0-9])$", var.engine_version))
    error_message = "engine_version must be 7.2 or a later version of Valkey, without the patch: such as 8.1."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key for Redis' disks and the parameters; AWS's own keys where null. For the stack it is redis_kms_key_arn."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn must be null or the ARN of a key (not of an alias)."
  }
}

variable "name" {
  description = "Name of everything here, such as lambda-router-prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9]|-[a-z0-9]){0,31}$", var.name)) && length(var.name) <= 32
    error_message = "name must be 1 to 32 lower-case letters, digits and single inner '-', and begin with a letter: ElastiCache allows 40, and adds to it."
  }
}

variable "network" {
  description = "A VPC that is there already, with DNS names and DNS support on, and two of its subnets, in different zones; null: a VPC is made."
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  default = null

  validation {
    condition     = var.network == null ? true : length(var.network.subnet_ids) >= 2 && startswith(var.network.vpc_id, "vpc-")
    error_message = "network must be null, or name a VPC (vpc-…) and at least two of its subnets."
  }
}

variable "node_type" {
  description = "Size of each node. A quarter of its memory is reserved; jobs and results use about one and a half times the stack's router_queue_bytes_cap."
  type        = string
  default     = "cache.t4g.small"
  nullable    = false

  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.node_type))
    error_message = "node_type must look like cache.t4g.small."
  }
}

variable "parameter_prefix" {
  description = "What the names of the two parameters begin with, such as /lambda-router/prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", var.parameter_prefix)) && !can(regex("^/(aws|ssm)", lower(var.parameter_prefix)))
    error_message = "parameter_prefix must begin with '/', must not end with it, and may not begin with /aws or /ssm, which are AWS's."
  }
}

variable "queues" {
  description = "Names of the queues whose keys both users may touch: the stack's router_queue, and those of router_models."
  type        = list(string)
  default     = ["tinyllama"]
  nullable    = false

  validation {
    condition     = length(var.queues) >= 1 && alltrue([for queue in var.queues : can(regex("^[a-z0-9][a-z0-9-]{0,62}$", queue))])
    error_message = "queues must have at least one; each is 1 to 63 lower-case letters, digits and '-'."
  }
}

variable "replicas" {
  description = "Nodes beside the first, in another zone, one of which takes over if it fails. 0: none, and a failed node loses the queue."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 5 && floor(var.replicas) == var.replicas
    error_message = "replicas must be a whole number from 0 to 5: ElastiCache takes no more."
  }
}

variable "snapshot_retention_days" {
  description = "Days that a daily snapshot is kept; 0: none is made. Snapshots hold prompts and results."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.snapshot_retention_days >= 0 && var.snapshot_retention_days <= 35 && floor(var.snapshot_retention_days) == var.snapshot_retention_days
    error_message = "snapshot_retention_days must be a whole number from 0 to 35: ElastiCache keeps none longer."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC that is made. They must not overlap with a network that boxes come from."
  type        = string
  default     = "10.64.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 1)) && try(tonumber(split("/", var.vpc_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vpc_cidr)[1]), 32) <= 23
    error_message = "vpc_cidr must be a network of /16 to /23, such as 10.64.0.0/20: each of its two subnets gets a sixteenth."
  }
}
