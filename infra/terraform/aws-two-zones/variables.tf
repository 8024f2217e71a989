variable "service" {
  description = "Name of the protection group; part of every resource's name."
  type        = string
  default     = "shop"
}

variable "region" {
  description = "Region of both zones. Not us-east-1: Route 53 takes changes there only, so its loss would take the name along."
  type        = string
  default     = "eu-central-1"
}

variable "sites" {
  description = "The runbook's sites: where each one stands and which private address its database has."
  type = map(object({
    zone    = string
    subnet  = string
    address = string
  }))
  default = {
    az-a = { zone = "eu-central-1a", subnet = "10.0.1.0/24", address = "10.0.1.10" }
    az-b = { zone = "eu-central-1b", subnet = "10.0.2.0/24", address = "10.0.2.10" }
  }

  validation {
    condition     = length(distinct([for site in values(var.sites) : site.zone])) == 2 && length(var.sites) == 2
    error_message = "Name two sites in two different zones."
  }
}

variable "primary" {
  description = "The site whose address the name answers when it is created. Tideover changes it from then on."
  type        = string
  default     = "az-a"
}

variable "vpc_cidr" {
  description = "Address range of the VPC; holds the subnets of both sites."
  type        = string
  default     = "10.0.0.0/16"
}

variable "zone_name" {
  description = "Name of the private hosted zone (the runbook's `zone:`)."
  type        = string
  default     = "shop.example.com"
}

variable "record_ttl" {
  description = "Seconds for which a client may keep the old answer (the runbook's `ttl:`)."
  type        = number
  default     = 30
}

variable "client_cidrs" {
  description = "Where clients of the database come from, beside the VPC itself. Empty: nowhere else."
  type        = list(string)
  default     = []
}

variable "instance_type" {
  description = "Type of both database instances."
  type        = string
  default     = "t3.medium"
}

variable "volume_size" {
  description = "GiB of each instance's root volume, which holds the database."
  type        = number
  default     = 50
}
