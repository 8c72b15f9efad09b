"""Makes a template's resources in moto: by its CloudFormation where that knows them, by the services' APIs else."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from moto.cloudformation.parsing import resource_class_from_type

from tests.support.aws import REGION
from tests.template.deployed import chosen

Document = dict[str, Any]
Clients = Callable[[str], Any]  # makes the client of a service, which reaches moto
Make = Callable[[Clients, str, Document], str | None]

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)((?:\.[A-Za-z0-9.]+)?)\}")
_IPV6_OF_A_VPC: Final = "2001:db8:0:ff00::/56"

# What is made nowhere, with the reason; nothing else may be missing.
NOT_MADE: Final = {
    "AWS::ApiGateway::Account": "moto's CloudFormation does not know it; it is a setting of the account",
    "AWS::ApiGateway::BasePathMapping": "as AWS::ApiGateway::DomainName",
    "AWS::ApiGateway::DomainName": "moto's CloudFormation does not know it, and the stack under test has no domain",
    "AWS::AppConfig::Application": "moto's CloudFormation does not know it, and nothing reads the settings",
    "AWS::AppConfig::ConfigurationProfile": "as AWS::AppConfig::Application",
    "AWS::AppConfig::HostedConfigurationVersion": "as AWS::AppConfig::Application",
    "AWS::CloudFormation::Stack": "each nested stack is made by a test of its own",
    "AWS::CloudFront::Distribution": "moto's CloudFormation does not know it; its CloudFront has no functions",
    "AWS::CloudFront::Function": "moto has no such API",
    "AWS::CodeDeploy::Application": "moto's CloudFormation does not know it, nor does moto deploy",
    "AWS::CodeDeploy::DeploymentGroup": "as AWS::CodeDeploy::Application",
    "AWS::DLM::LifecyclePolicy": "moto has no Data Lifecycle Manager",
    "AWS::EC2::VPCCidrBlock": "moto's CloudFormation does not know it, and gives subnets no IPv6",
    "AWS::Lambda::Alias": "moto's CloudFormation does not know it; what names an alias names the function",
    "AWS::Lambda::EventInvokeConfig": "moto's CloudFormation does not know it",
    "AWS::Logs::QueryDefinition": "moto's Logs keep no queries",
    "AWS::WAFv2::WebACL": "moto's CloudFormation does not know it, and the stack under test has none",
    "AWS::WAFv2::WebACLAssociation": "as AWS::WAFv2::WebACL",
    "Custom::ChromaReady": "moto would run its function, in Docker; tests of scripts/chroma/ready.py run it",
}


@dataclass(frozen=True)
class Made:
    """What a template came to.

    Attributes:
        ids: Physical ids by logical id, of what moto's CloudFormation made.
        outputs: Outputs of the stack.
    """

    ids: Mapping[str, str]
    outputs: Mapping[str, str]


def _secret(aws: Clients, name: str, properties: Document) -> str:
    client = aws("secretsmanager")
    value = properties.get("SecretString")
    if value is None:
        generate = properties["GenerateSecretString"]
        value = client.get_random_password(
            PasswordLength=generate["PasswordLength"], ExcludePunctuation=generate["ExcludePunctuation"]
        )["RandomPassword"]
        if "SecretStringTemplate" in generate:
            value = json.dumps({**json.loads(generate["SecretStringTemplate"]), generate["GenerateStringKey"]: value})
    return str(client.create_secret(Name=name, SecretString=value)["ARN"])


def _alarm(aws: Clients, _: str, properties: Document) -> None:
    aws("cloudwatch").put_metric_alarm(**properties | {"Threshold": float(properties["Threshold"])})


def _metric_filter(aws: Clients, name: str, properties: Document) -> None:
    logs = aws("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=properties["LogGroupName"])["logGroups"]:
        logs.create_log_group(logGroupName=properties["LogGroupName"])
    logs.put_metric_filter(
        logGroupName=properties["LogGroupName"],
        filterName=name,
        filterPattern=properties["FilterPattern"],
        metricTransformations=_lower(properties["MetricTransformations"]),
    )


def _subscription(aws: Clients, _: str, properties: Document) -> None:
    aws("sns").subscribe(**properties)


def _bucket_policy(aws: Clients, _: str, properties: Document) -> None:
    aws("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=json.dumps(properties["PolicyDocument"]))


def _deployment(aws: Clients, _: str, properties: Document) -> str:
    answer = aws("apigateway").create_deployment(
        restApiId=properties["RestApiId"], description=properties["Description"]
    )
    return str(answer["id"])


def _stage(aws: Clients, _: str, properties: Document) -> None:
    client = aws("apigateway")
    client.create_stage(
        restApiId=properties["RestApiId"],
        stageName=properties["StageName"],
        deploymentId=properties["DeploymentId"],
        variables=properties["Variables"],
        tracingEnabled=properties["TracingEnabled"],
    )
    logs, operations = properties["AccessLogSetting"], []
    operations += [{"op": "replace", "path": "/accessLogSettings/format", "value": logs["Format"]}]
    arn = logs["DestinationArn"].removesuffix(":*")
    operations += [{"op": "replace", "path": "/accessLogSettings/destinationArn", "value": arn}]
    client.update_stage(
        restApiId=properties["RestApiId"], stageName=properties["StageName"], patchOperations=operations
    )


def _usage_plan(aws: Clients, name: str, properties: Document) -> None:
    throttle, quota = properties["Throttle"], properties["Quota"]
    aws("apigateway").create_usage_plan(
        name=name,
        description=properties["Description"],
        apiStages=_lower(properties["ApiStages"]),
        throttle={"rateLimit": float(throttle["RateLimit"]), "burstLimit": int(throttle["BurstLimit"])},
        quota={"limit": int(quota["Limit"]), "period": quota["Period"]},
    )


def _definition(aws: Clients, api: str, properties: Document) -> None:
    client, body = aws("apigateway"), properties["Body"]
    # Gateway responses are among what moto does not read.
    client.put_rest_api(restApiId=api, mode="overwrite", body=json.dumps(body).encode())
    for name, scheme in body["components"]["securitySchemes"].items():
        if "x-amazon-apigateway-authorizer" in scheme:
            authorizer = scheme["x-amazon-apigateway-authorizer"]
            client.create_authorizer(
                restApiId=api,
                name=name,
                type=authorizer["type"].upper(),
                authorizerUri=authorizer["authorizerUri"],
                identitySource=authorizer["identitySource"],
                authorizerResultTtlInSeconds=authorizer["authorizerResultTtlInSeconds"],
            )
    for kind, response in body["x-amazon-apigateway-gateway-responses"].items():
        client.put_gateway_response(restApiId=api, responseType=kind, **response)


def _bucket(aws: Clients, bucket: str, properties: Document) -> None:
    client = aws("s3")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
    client.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
    )
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=properties["OwnershipControls"])
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [_rule(rule) for rule in lifecycle_rules(properties)]}
    )


def _lifetime(aws: Clients, table: str, properties: Document) -> None:
    aws("dynamodb").update_time_to_live(
        TableName=table, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
    )


def lifecycle_rules(properties: Document) -> list[Document]:
    """Return the lifecycle rules of a bucket, as its template has them."""
    rules: list[Document] = properties["LifecycleConfiguration"]["Rules"]
    return rules


def _rule(rule: Document) -> Document:
    """Return a lifecycle rule of a template as the API takes it."""
    as_is = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
    expiration = {
        "Days": rule.get("ExpirationInDays"),
        "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
    }
    given = {name: value for name, value in expiration.items() if value is not None}
    return {
        "ID": rule["Id"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
        **{name: rule[name] for name in as_is if name in rule},
        **({"Expiration": given} if given else {}),
    }


def _lower(value: Any) -> Any:
    """Return a value of a template with the names that APIs in camel case have for it."""
    if isinstance(value, list):
        return [_lower(item) for item in value]
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _lower(item) for key, item in value.items()}
    return value


def _egress_only_gateway(aws: Clients, _: str, properties: Document) -> str:
    answer = aws("ec2").create_egress_only_internet_gateway(**properties)
    return str(answer["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"])


def _route(aws: Clients, _: str, properties: Document) -> None:
    aws("ec2").create_route(**properties)


def _egress(aws: Clients, _: str, properties: Document) -> None:
    group = {"GroupId": properties["DestinationSecurityGroupId"], "Description": properties["Description"]}
    ports = {name: properties[name] for name in ("IpProtocol", "FromPort", "ToPort")}
    aws("ec2").authorize_security_group_egress(
        GroupId=properties["GroupId"], IpPermissions=[{**ports, "UserIdGroupPairs": [group]}]
    )


# What moto's CloudFormation makes only in part, and the API completes.
COMPLETED: Final[Mapping[str, Make]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::DynamoDB::Table": _lifetime,
    "AWS::ApiGateway::RestApi": _definition,
}
# What moto's CloudFormation does not know and its services' APIs do, in this order, after the rest.
BY_API: Final[Mapping[str, Make]] = {
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::ApiGateway::Deployment": _deployment,
    "AWS::ApiGateway::Stage": _stage,
    "AWS::ApiGateway::UsagePlan": _usage_plan,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::Logs::MetricFilter": _metric_filter,
    "AWS::SNS::Subscription": _subscription,
    "AWS::EC2::EgressOnlyInternetGateway": _egress_only_gateway,
    "AWS::EC2::SecurityGroupEgress": _egress,
    "AWS::EC2::Route": _route,
}
# Types that moto's CloudFormation would make, with the reason why it does not here.
NOT_BY_CLOUDFORMATION: Final = {
    "AWS::ApiGateway::Deployment": "it wants methods, which are there only once the definition is read",
    "AWS::EC2::Route": "it wants the egress-only gateway, which moto's CloudFormation does not know",
    "AWS::CloudFormation::Stack": NOT_MADE["AWS::CloudFormation::Stack"],
    "Custom::ChromaReady": NOT_MADE["Custom::ChromaReady"],
}
SECRET: Final = "AWS::SecretsManager::Secret"  # by its API too, before everything that names one


def known(kind: str) -> bool:
    """Return whether moto's CloudFormation makes resources of a type."""
    return resource_class_from_type(kind) is not None


def make(aws: Clients, name: str, template: Document, parameters: Mapping[str, str]) -> Made:
    """Make a stack of a template, transformed before if it needs that.

    Args:
        aws: Makes clients that reach moto.
        name: Of the stack.
        template: With intrinsic functions as mappings.
        parameters: Those that are not to have their defaults.
    """
    values = {key: str(item.get("Default", "")) for key, item in template["Parameters"].items()} | dict(parameters)
    document = _decided(template, values | {"AWS::Region": REGION})
    all_of_them: dict[str, Document] = document["Resources"]
    stand_ins: dict[str, Any] = {}
    for logical, resource in all_of_them.items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind == SECRET:
            stand_ins[logical] = _secret(aws, f"{name}-{logical}", properties)
        elif kind == "AWS::Lambda::Alias":
            stand_ins[logical] = {"Fn::GetAtt": [properties["FunctionName"]["Ref"], "Arn"]}
        elif kind == "AWS::ApiGateway::Stage":
            stand_ins[logical] = properties["StageName"]
        elif kind == "AWS::CloudWatch::Alarm":
            stand_ins[logical] = properties["AlarmName"]
            alarm = "arn:aws:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:" + properties["AlarmName"]["Fn::Sub"]
            stand_ins[f"{logical}.Arn"] = {"Fn::Sub": alarm}
        elif kind in NOT_MADE or kind in BY_API:
            stand_ins[logical] = f"stand-in-of-{logical}"
    document = _prepared(document, stand_ins, values)
    resources = document["Resources"]
    later = {key: item for key, item in resources.items() if item["Type"] in {*BY_API, *COMPLETED}}
    document["Resources"] = {key: item for key, item in resources.items() if key not in stand_ins}
    document.setdefault("Outputs", {}).update(
        {f"Made{key}": {"Value": {"Fn::ToJsonString": item["Properties"]}} for key, item in later.items()}
    )
    client = aws("cloudformation")
    client.create_stack(
        StackName=name,
        TemplateBody=json.dumps(document),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    listed = client.describe_stack_resources(StackName=name)["StackResources"]
    assert {item["LogicalResourceId"] for item in listed} == set(document["Resources"])
    ids = {item["LogicalResourceId"]: item.get("PhysicalResourceId", "") for item in listed}
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    for kind, by_api in {**COMPLETED, **BY_API}.items():
        for logical in (key for key, item in later.items() if item["Type"] == kind):
            text = outputs.pop(f"Made{logical}")
            for other, made in ids.items():
                text = text.replace(f'"stand-in-of-{other}"', json.dumps(made))
            if made := by_api(aws, ids.get(logical, logical), json.loads(text)):
                ids[logical] = made
    return Made(ids, outputs)


def _decided(template: Document, values: Mapping[str, str]) -> Document:
    """Return a template without conditions: they are decided, which moto does otherwise than AWS with numbers."""

    def value(item: Any) -> Any:
        if isinstance(item, dict) and "Ref" in item:
            return values[item["Ref"]]
        if isinstance(item, dict) and "Fn::Select" in item:
            return value(item["Fn::Select"][1])[int(item["Fn::Select"][0])]
        if isinstance(item, dict) and "Fn::Split" in item:
            return value(item["Fn::Split"][1]).split(item["Fn::Split"][0])
        return str(item)

    def holds(condition: Document) -> bool:
        ((kind, items),) = condition.items()
        if kind == "Condition":
            return holds(template["Conditions"][items])
        if kind == "Fn::Equals":
            return bool(value(items[0]) == value(items[1]))
        if kind == "Fn::Not":
            return not holds(items[0])
        return {"Fn::And": all, "Fn::Or": any}[kind](map(holds, items))

    conditions = {name: holds(condition) for name, condition in template.get("Conditions", {}).items()}
    there = {
        section: {
            name: {part: chosen(item[part], conditions) for part in item if part != "Condition"}
            for name, item in template.get(section, {}).items()
            if conditions.get(item.get("Condition", ""), True)
        }
        for section in ("Resources", "Outputs")
    }
    return {"Parameters": template["Parameters"], **there}


def _prepared(value: Any, stand_ins: Mapping[str, Any], parameters: Mapping[str, str]) -> Any:
    """Put stand-ins in the place of what moto's CloudFormation does not make, and addresses in that of Fn::Cidr."""

    def walk(item: Any) -> Any:
        if isinstance(item, list):
            return [walk(part) for part in item]
        if not isinstance(item, dict):
            return item
        if isinstance(item.get("Ref"), str):
            return stand_ins.get(item["Ref"], item)
        if "Fn::GetAtt" in item and item["Fn::GetAtt"][0] in stand_ins:
            name = ".".join(map(str, item["Fn::GetAtt"]))
            return stand_ins.get(name, f"stand-in-of-{name}")
        if "Fn::Sub" in item:
            text, variables = (item["Fn::Sub"], {}) if isinstance(item["Fn::Sub"], str) else item["Fn::Sub"]
            text = _PLACEHOLDER.sub(placeholder, text)
            return {"Fn::Sub": [text, walk(variables)] if variables else text}
        if "Fn::Cidr" in item:
            block, count, bits = item["Fn::Cidr"]
            network = ipaddress.ip_network(parameters[block["Ref"]] if "Ref" in block else _IPV6_OF_A_VPC)
            subnets: Iterator[Any] = network.subnets(new_prefix=network.max_prefixlen - int(bits))
            return [str(next(subnets)) for _ in range(int(count))]
        return {key: walk(part) for key, part in item.items()}

    def placeholder(found: re.Match[str]) -> str:
        if found[1] not in stand_ins:
            return found[0]
        name = found[1] + found[2]
        stand_in = stand_ins.get(name, f"stand-in-of-{name}")
        if isinstance(stand_in, str):
            return stand_in
        ((kind, value),) = stand_in.items()
        return {"Ref": "${%s}", "Fn::GetAtt": "${%s}", "Fn::Sub": "%s"}[kind] % (
            ".".join(value) if isinstance(value, list) else value
        )

    return walk(value)
