"""The distribution, its secret and the web ACL: what the parameters make of them. Rules of AWS: docs/aws-facts.md."""

import json
import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.template.deployed import TEMPLATE, Document, chosen, deployed, source

EDGE: Document = yaml_parse((TEMPLATE.parent / "stacks" / "edge.yaml").read_text())
CONDITIONS: Document = source()["Conditions"]
ACCOUNT = "123456789012"
DISTRIBUTIONS_ZONE = "Z2FDTNDATAQYW2"
ALWAYS_CACHED_ERRORS = {404, 414, 500, 501, 502, 503, 504}
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


def distribution() -> Document:
    config: Document = EDGE["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    return config


def nested() -> Document:
    properties: Document = deployed().resources["Edge"]["Properties"]
    return properties


def function() -> Document:
    properties: Document = EDGE["Resources"]["ViewerRequest"]["Properties"]
    return properties


def stage_variables(*, distribution: bool, domain: bool) -> Any:
    variables = deployed().only("AWS::ApiGateway::Stage")["Variables"]
    return chosen(variables, {"HasDistribution": distribution, "HasDomain": domain})


class TestPublicUrl:
    def test_the_parameter_wins_over_the_distributions_domain(self) -> None:
        for distribution in (False, True):
            given = stage_variables(distribution=distribution, domain=True)
            assert given == {"publicUrl": {"Ref": "PublicUrl"}}

    def test_the_distributions_domain_is_next(self) -> None:
        given = stage_variables(distribution=True, domain=False)
        assert given == {"publicUrl": {"Fn::Sub": "https://${Edge.Outputs.DomainName}"}}

    def test_without_either_there_is_none(self) -> None:
        assert stage_variables(distribution=False, domain=False) == {}

    def test_its_accepted_values_are_of_characters_that_stage_variables_may_hold(self) -> None:
        pattern = source()["Parameters"]["PublicUrl"]["AllowedPattern"]
        accepted = [
            character for character in map(chr, range(32, 127)) if re.fullmatch(pattern, f"https://a{character}b")
        ]
        assert accepted
        assert re.fullmatch(r"[A-Za-z0-9\-._~:/?#&=,]+", "".join(accepted) + "https://a:1")


class TestDistribution:
    def test_it_is_there_by_default_and_away_where_it_is_not_wanted(self) -> None:
        assert source()["Parameters"]["Distribution"]["Default"] == "true"
        assert CONDITIONS["HasDistribution"] == {"Fn::Equals": [{"Ref": "Distribution"}, "true"]}
        for name in ("Edge", "OriginSecret"):
            assert deployed().resources[name]["Condition"] == "HasDistribution"

    def test_it_is_given_every_parameter_that_it_has_and_no_other(self) -> None:
        assert set(nested()["Parameters"]) == set(EDGE["Parameters"])

    def test_nothing_that_it_needs_needs_it(self) -> None:
        # The stage may name the distribution, because the distribution names the API and not its stage.
        given = json.dumps(nested())
        (stage,) = deployed().of_type("AWS::ApiGateway::Stage")
        assert stage not in given
        assert "Edge." not in json.dumps(deployed().only("AWS::ApiGateway::RestApi"))
        for kind in ("AWS::Lambda::Function", "AWS::ApiGateway::Deployment"):
            assert "Edge" not in json.dumps(deployed().of_type(kind))

    def test_its_root_is_the_stage_of_the_api_over_tls(self) -> None:
        (origin,) = distribution()["Origins"]
        assert origin["DomainName"] == {"Ref": "ApiHost"}
        assert origin["OriginPath"] == {"Fn::Sub": "/${Stage}"}
        assert origin["CustomOriginConfig"] == {
            "OriginProtocolPolicy": "https-only",
            "OriginSSLProtocols": ["TLSv1.2"],
        }

    def test_it_shows_the_origin_secret_which_is_in_no_template_and_no_parameter(self) -> None:
        (origin,) = distribution()["Origins"]
        (header,) = origin["OriginCustomHeaders"]
        reference = "{{resolve:secretsmanager:${OriginSecret}:SecretString}}"
        assert header == {"HeaderName": "x-remora-origin", "HeaderValue": {"Fn::Sub": reference}}
        generated = deployed().resources["OriginSecret"]["Properties"]["GenerateSecretString"]
        # Letters and digits can stand in a header as they are; 64 of them are 381 bits.
        assert generated == {"PasswordLength": 64, "ExcludePunctuation": True}

    def test_it_takes_every_method_and_passes_on_every_header_but_the_host(self) -> None:
        behavior = distribution()["DefaultCacheBehavior"]
        methods = {"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
        assert set(behavior["AllowedMethods"]) == methods
        assert behavior["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST
        assert behavior["ViewerProtocolPolicy"] == "https-only"

    def test_it_keeps_nothing_for_the_next_viewer_not_even_errors(self) -> None:
        assert distribution()["DefaultCacheBehavior"]["CachePolicyId"] == CACHING_DISABLED
        errors = {item["ErrorCode"]: item["ErrorCachingMinTTL"] for item in distribution()["CustomErrorResponses"]}
        assert errors == dict.fromkeys(ALWAYS_CACHED_ERRORS, 0)

    def test_it_writes_no_access_logs_as_they_would_hold_the_query(self) -> None:
        assert "Logging" not in distribution()

    def test_it_speaks_the_newest_http_over_both_kinds_of_addresses(self) -> None:
        assert distribution()["HttpVersion"] == "http2and3"
        assert distribution()["IPV6Enabled"] is True


class TestDomain:
    """A certificate makes the deployment answer for the host of `PublicUrl`."""

    @staticmethod
    def records(resources: Document) -> dict[str, Document]:
        found = [item for item in resources.values() if item["Type"] == "AWS::Route53::RecordSet"]
        return {item["Properties"]["Type"]: item for item in found}

    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("https://memory.example.com", "memory.example.com"),
            ("https://a.example:8443", "a.example:8443"),
            ("", ""),
        ],
    )
    def test_its_host_is_cut_out_of_the_url(self, url: str, host: str) -> None:
        parameters = nested()["Parameters"]
        cut = parameters["Domain"]["Fn::If"][1]
        assert cut == deployed().only("AWS::ApiGateway::DomainName")["DomainName"]
        index, split = cut["Fn::Select"]
        separator, text = split["Fn::Split"]
        assert text["Fn::Sub"].replace("${PublicUrl}", url).split(separator)[index] == host

    def test_without_a_certificate_the_url_stays_that_of_somebody_elses_proxy(self) -> None:
        parameters = nested()["Parameters"]
        assert chosen(parameters["Domain"], {"HasCertificate": False}) == ""
        config = chosen(distribution(), {"HasCertificate": False})
        assert "Aliases" not in config
        assert config["ViewerCertificate"] == {"CloudFrontDefaultCertificate": True}

    def test_a_distribution_answers_for_it_with_todays_tls_alone(self) -> None:
        config = chosen(distribution(), {"HasCertificate": True})
        assert config["Aliases"] == [{"Ref": "Domain"}]
        assert config["ViewerCertificate"] == {
            "AcmCertificateArn": {"Ref": "CertificateArn"},
            "SslSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
        }

    def test_without_a_distribution_the_api_does_and_its_root_is_the_stage(self) -> None:
        domain, mapping = (
            deployed().only(kind) for kind in ("AWS::ApiGateway::DomainName", "AWS::ApiGateway::BasePathMapping")
        )
        assert domain["SecurityPolicy"] == "TLS_1_2"
        assert domain["RegionalCertificateArn"] == {"Ref": "CertificateArn"}
        assert domain["EndpointConfiguration"] == {"Types": ["REGIONAL"], "IpAddressType": "dualstack"}
        (stage,) = deployed().of_type("AWS::ApiGateway::Stage")
        assert mapping == {
            "DomainName": {"Ref": "ApiDomain"},
            "RestApiId": {"Ref": "ConnectorApi"},
            "Stage": {"Ref": stage},
        }
        for name in ("ApiDomain", "ApiAtDomain"):
            assert deployed().resources[name]["Condition"] == "ApiHasDomain"
        assert CONDITIONS["ApiHasDomain"] == {
            "Fn::And": [{"Condition": "HasCertificate"}, {"Fn::Not": [{"Condition": "HasDistribution"}]}]
        }

    def test_a_hosted_zone_gets_records_for_both_kinds_of_addresses(self) -> None:
        of_the_api = self.records(dict(deployed().resources))
        of_the_distribution = self.records(EDGE["Resources"])
        assert set(of_the_api) == set(of_the_distribution) == {"A", "AAAA"}
        for record in of_the_api.values():
            assert record["Condition"] == "ApiHasRecords"
            assert record["Properties"]["Name"] == {"Ref": "ApiDomain"}
            assert record["Properties"]["AliasTarget"]["DNSName"] == {
                "Fn::GetAtt": ["ApiDomain", "RegionalDomainName"]
            }
        for record in of_the_distribution.values():
            assert record["Condition"] == "HasRecords"
            assert record["Properties"]["Name"] == {"Ref": "Domain"}
            assert record["Properties"]["AliasTarget"] == {
                "DNSName": {"Fn::GetAtt": ["Distribution", "DomainName"]},
                "HostedZoneId": DISTRIBUTIONS_ZONE,
                "EvaluateTargetHealth": False,
            }
        assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "HostedZoneId"}, ""]}]} in CONDITIONS["ApiHasRecords"]["Fn::And"]

    def test_elsewhere_an_output_says_where_a_record_must_lead(self) -> None:
        output = source()["Outputs"]["DomainTarget"]
        assert output["Condition"] == "HasCertificate"
        assert [chosen(output["Value"], {"HasDistribution": value}) for value in (True, False)] == [
            {"Fn::GetAtt": ["Edge", "Outputs.DomainName"]},
            {"Fn::GetAtt": ["ApiDomain", "RegionalDomainName"]},
        ]

    @pytest.mark.parametrize(
        ("rule", "given", "needed"),
        [("Certificate", "CertificateArn", "PublicUrl"), ("HostedZone", "HostedZoneId", "CertificateArn")],
    )
    def test_what_cannot_be_alone_is_refused_before_anything_is_made(
        self, rule: str, given: str, needed: str
    ) -> None:
        def is_given(name: str) -> Document:
            return {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]}

        written = source()["Rules"][rule]
        assert written["RuleCondition"] == is_given(given)
        assert [assertion["Assert"] for assertion in written["Assertions"]] == [is_given(needed)]

    @pytest.mark.parametrize(
        ("name", "value", "accepted"),
        [
            ("CertificateArn", f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/1-2", True),
            ("CertificateArn", f"arn:aws:acm:eu-central-1:{ACCOUNT}:certificate/1-2", False),
            ("Domain", "memory.example.com", True),
            ("Domain", "memory.example.com:8443", False),
            ("Domain", "localhost", False),
        ],
    )
    def test_what_cloudfront_would_refuse_the_stack_refuses_first(
        self, name: str, value: str, accepted: bool
    ) -> None:
        pattern = EDGE["Parameters"][name]["AllowedPattern"]
        assert bool(re.fullmatch(pattern, value)) is accepted
        assert re.fullmatch(pattern, "")


class TestFunction:
    def test_every_request_meets_it_first(self) -> None:
        (association,) = distribution()["DefaultCacheBehavior"]["FunctionAssociations"]
        assert association["EventType"] == "viewer-request"
        assert association["FunctionARN"] == {"Fn::GetAtt": ["ViewerRequest", "FunctionMetadata.FunctionARN"]}
        assert function()["AutoPublish"] is True
        assert function()["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"

    def test_cloudformation_replaces_in_it_what_is_meant_to_be_replaced(self) -> None:
        placeholders = re.findall(r"\$\{[^}]*\}", function()["FunctionCode"]["Fn::Sub"])
        assert placeholders == ["${PublicUrl}", "${KeyInUrl}"]

    @pytest.mark.parametrize(
        "value", ["https://a'b.example", 'https://a".example', "https://a\\b", "https://a`b", "a b"]
    )
    def test_nothing_that_is_replaced_can_end_its_string(self, value: str) -> None:
        assert not re.fullmatch(EDGE["Parameters"]["PublicUrl"]["AllowedPattern"], value)
        assert EDGE["Parameters"]["KeyInUrl"]["AllowedValues"] == ["true", "false"]


class TestAddressLimit:
    @staticmethod
    def statement(*, distribution: bool) -> Document:
        (rule,) = deployed().only("AWS::WAFv2::WebACL")["Rules"]
        statement: Document = chosen(rule["Statement"], {"HasDistribution": distribution})["RateBasedStatement"]
        return statement

    def test_there_is_none_unless_it_is_asked_for(self) -> None:
        assert source()["Parameters"]["RateLimitPerAddress"]["Default"] == 0
        assert CONDITIONS["LimitsAddresses"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "RateLimitPerAddress"}, "0"]}]}
        for kind in ("AWS::WAFv2::WebACL", "AWS::WAFv2::WebACLAssociation"):
            (resource,) = (item for item in deployed().resources.values() if item["Type"] == kind)
            assert resource["Condition"] == "LimitsAddresses"

    def test_a_limit_that_waf_does_not_count_to_is_refused(self) -> None:
        (assertion,) = source()["Rules"]["RateLimit"]["Assertions"]
        refused, value = assertion["Assert"]["Fn::Not"][0]["Fn::Contains"]
        assert value == {"Ref": "RateLimitPerAddress"}
        assert refused == [str(number) for number in range(1, 10)]

    def test_it_holds_on_the_stage(self) -> None:
        association = deployed().only("AWS::WAFv2::WebACLAssociation")
        (stage,) = deployed().of_type("AWS::ApiGateway::Stage")
        arn = association["ResourceArn"]["Fn::Sub"]
        assert arn.endswith(f"/restapis/${{ConnectorApi}}/stages/${{{stage}}}")
        assert deployed().only("AWS::WAFv2::WebACL")["Scope"] == "REGIONAL"

    def test_without_a_distribution_it_counts_by_source_address(self) -> None:
        assert self.statement(distribution=False) == {
            "Limit": {"Ref": "RateLimitPerAddress"},
            "EvaluationWindowSec": 300,
            "AggregateKeyType": "IP",
        }

    def test_behind_the_distribution_it_counts_by_the_address_that_the_edge_gives(self) -> None:
        statement = self.statement(distribution=True)
        (key,) = statement["CustomKeys"]
        assert key["Header"]["Name"] == "x-remora-viewer"
        # Or whoever calls around the distribution could use up the limit of any address.
        match = statement["ScopeDownStatement"]["ByteMatchStatement"]
        assert match["FieldToMatch"] == {"SingleHeader": {"Name": "x-remora-origin"}}
        assert match["PositionalConstraint"] == "EXACTLY"
        assert match["SearchString"] == {"Fn::Sub": "{{resolve:secretsmanager:${OriginSecret}:SecretString}}"}

    def test_whoever_is_over_it_is_told_so_as_json_rpc_and_when_to_come_back(self) -> None:
        acl = deployed().only("AWS::WAFv2::WebACL")
        (rule,) = acl["Rules"]
        response = rule["Action"]["Block"]["CustomResponse"]
        assert response["ResponseCode"] == 429
        headers = {header["Name"]: header["Value"] for header in response["ResponseHeaders"]}
        assert int(headers["Retry-After"]) > 0
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Type" not in headers  # AWS WAF refuses it; the body's own type counts
        body = acl["CustomResponseBodies"][response["CustomResponseBodyKey"]]
        assert body["ContentType"] == "APPLICATION_JSON"
        assert json.loads(body["Content"])["error"]["code"] == -32005

    def test_it_keeps_no_samples_of_requests_as_they_hold_credentials(self) -> None:
        acl = deployed().only("AWS::WAFv2::WebACL")
        (rule,) = acl["Rules"]
        assert acl["VisibilityConfig"]["SampledRequestsEnabled"] is False
        assert rule["VisibilityConfig"]["SampledRequestsEnabled"] is False
