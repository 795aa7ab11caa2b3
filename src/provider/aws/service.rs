//! Which of AWS's services an API belongs to: its name for people and for IAM, and whose buckets it is counted in.

/// A service that we call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// EC2.
    Ec2,
    /// Classic load balancing.
    LoadBalancing,
    /// The token service.
    Tokens,
}

impl Service {
    /// The service of an API. No API that we call is two services': EC2's tags are written by `CreateTags` and read with
    /// the objects.
    #[must_use]
    pub fn of(api: &str) -> Self {
        match api {
            "GetCallerIdentity" => Self::Tokens,
            "AddTags" | "RemoveTags" | "DescribeTags" | "DescribeInstanceHealth" | "ConfigureHealthCheck" => {
                Self::LoadBalancing
            }
            other if other.contains("LoadBalancer") || other.ends_with("CookieStickinessPolicy") => Self::LoadBalancing,
            _ => Self::Ec2,
        }
    }

    /// Its name, as IAM spells it
    /// (<https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>).
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::LoadBalancing => "elasticloadbalancing",
            Self::Tokens => "sts",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_has_its_service() {
        let balancing = [
            "DescribeLoadBalancers",
            "RegisterInstancesWithLoadBalancer",
            "SetLoadBalancerListenerSSLCertificate",
            "CreateLBCookieStickinessPolicy",
            "CreateAppCookieStickinessPolicy",
            "DescribeInstanceHealth",
            "ConfigureHealthCheck",
            "AddTags",
        ];
        for api in balancing {
            assert_eq!(Service::of(api).word(), "elasticloadbalancing", "{api}");
        }
        for api in ["CreateTags", "DescribeInstances", "DescribeNetworkInterfaces", "DescribeInstanceAttribute"] {
            assert_eq!(Service::of(api).word(), "ec2", "{api}");
        }
        assert_eq!(Service::of("GetCallerIdentity").word(), "sts");
    }
}
