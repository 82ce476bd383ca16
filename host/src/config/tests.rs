use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callgate_core::dead_letter::DeadLetterHeaders;
use callgate_core::route::{Binding, ClientErrors, TopicSelector, WithoutReplyTo};

use super::*;

/// What stands for the Kafka client: it takes everything but one property.
fn client(name: &str, _: &str) -> Result<(), PropertyProblem> {
    if name == "no.such.property" { Err(PropertyProblem::Unknown) } else { Ok(()) }
}

/// Reads an operator's file with these variables in the environment.
fn read<const N: usize>(text: &str, variables: [(&str, &str); N]) -> OperatorRead {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("callgate.toml");
    std::fs::write(&path, text).expect("a file");
    Operator::read(&path, &Environment::from(variables), PropertyCheck { one: &client, together: &|_| Ok(()) })
}

/// Reads a file without faults.
fn operator<const N: usize>(text: &str, variables: [(&str, &str); N]) -> Operator {
    let OperatorRead { operator, faults } = read(text, variables);
    assert_eq!(faults, []);
    operator.expect("a file without faults is read")
}

fn tenant(operator: &Operator, name: &str) -> Arc<Tenant> {
    match operator.tenant(name) {
        TenantLookup::Found(tenant) => tenant,
        other => panic!("{name}: {other:?}"),
    }
}

const MINIMAL: &str = "[kafka]\nbootstrap_servers = \"localhost:9092\"\n[tenants.acme]\n";

#[test]
fn all_but_the_brokers_has_a_default() {
    let operator = operator(MINIMAL, []);
    assert_eq!(operator.kafka.bootstrap_servers, "localhost:9092");
    assert_eq!(operator.kafka.group_id, "callgate");
    assert_eq!(operator.kafka.first_start, FirstStart::Earliest);
    assert_eq!(operator.kafka.instance_id, None);
    assert!(operator.deploy.directory.ends_with("handlers") && operator.deploy.directory.is_absolute());
    assert_eq!(operator.deploy.cache, Path::new("/var/cache/callgate"));
    assert_eq!(operator.limits.memory, Memory::Percent(75));
    assert_eq!((operator.limits.workers, operator.limits.max_client_sets), (0, 256));
    assert_eq!(operator.admin.listen.to_string(), "127.0.0.1:9464");

    let acme = tenant(&operator, "acme");
    assert!(acme.topics.allows("acme.orders") && !acme.topics.allows("shop.orders"));
    assert!(acme.reply_topics.allows("acme.replies") && !acme.reply_topics.allows("shop.replies"));
    let settings = &acme.settings;
    assert_eq!(settings.dead_letter.topic, None);
    assert_eq!(settings.dead_letter.headers, DeadLetterHeaders::Callgate);
    assert!(!settings.dead_letter.original_timestamp && settings.create_dead_letter_topic);
    assert_eq!((settings.max_memory, settings.max_in_flight, settings.max_hops), (64 << 20, 64, 16));
    assert_eq!((settings.max_deadline, settings.max_cpu), (Duration::from_secs(30), Duration::from_secs(1)));
    assert_eq!((settings.request.max_headers, settings.request.max_header_bytes), (256, 64 << 10));
    assert_eq!((settings.request.max_body, settings.max_response_body), (4 << 20, 4 << 20));
    assert_eq!((settings.max_buffered_records, settings.max_buffered_bytes), (10_000, 32 << 20));
    assert_eq!(settings.max_log, 64 << 10);
}

#[test]
fn the_environment_overrides_single_values() {
    let text = "[kafka.properties]\n\"sasl.password\" = \"of the file\"\n\"security.protocol\" = \"SASL_SSL\"\n\
                [tenants.my-shop]\nmax_hops = 3\n";
    let operator = operator(
        text,
        [
            ("CALLGATE__KAFKA__BOOTSTRAP_SERVERS", "broker:9092"),
            ("CALLGATE__KAFKA__PROPERTIES__SASL_PASSWORD", "${of the environment}"),
            ("CALLGATE__KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN"),
            ("CALLGATE__KAFKA__PROPERTIES__SASL_USERNAME", "callgate"),
            ("CALLGATE__DEPLOY__DIRECTORY", "elsewhere"),
            ("CALLGATE__LIMITS__WORKERS", "2"),
            ("CALLGATE__TENANTS__MY_SHOP__MAX_HOPS", "4"),
            ("CALLGATE__TENANTS__MY_SHOP__CREATE_DEAD_LETTER_TOPIC", "false"),
            ("CALLGATE_LOG", "debug"),
        ],
    );
    assert_eq!(operator.kafka.bootstrap_servers, "broker:9092");
    let properties: Vec<_> = operator.kafka.properties.iter().map(|(name, value)| (name, value.expose())).collect();
    let expected = [
        ("sasl.mechanism", "PLAIN"),
        ("sasl.password", "${of the environment}"),
        ("sasl.username", "callgate"),
        ("security.protocol", "SASL_SSL"),
    ];
    assert_eq!(properties, expected);
    assert_eq!(operator.deploy.directory, Path::new("elsewhere"));
    assert_eq!(operator.limits.workers, 2);
    let settings = &tenant(&operator, "my-shop").settings;
    assert_eq!((settings.max_hops, settings.create_dead_letter_topic), (4, false));
}

#[test]
fn no_value_of_a_secret_is_printed() {
    let text = "[kafka]\nbootstrap_servers = \"${env:SECRET}\"\ngroup_id = \"${env:SECRET}\"\n[kafka.properties]\n\
                \"no.such.property\" = \"hunter2 !\"\n\"acks\" = \"hunter2 !\"\n\"sasl.password\" = \"hunter2 !\"\n\
                [limits]\nmemory = \"${env:SECRET}\"\n[tenants.acme]\nmax_cpu = \"${env:SECRET}\"\n\
                dead_letter_headers = \"${env:SECRET}\"\ntopics = [\"${env:SECRET}\"]\n";
    let read = read(text, [("SECRET", "hunter2 !")]);
    assert_eq!(read.faults.len(), 8, "{:#?}", read.faults);
    assert!(!format!("{read:#?}").contains("hunter2"), "{read:#?}");
}

#[test]
fn a_tenant_without_a_section_gets_the_default_one_under_its_own_name() {
    let text = format!("{MINIMAL}[tenants.default]\nmax_hops = 2\n");
    let operator = operator(&text, []);
    let shop = tenant(&operator, "shop");
    assert_eq!(shop.settings.max_hops, 2);
    assert!(shop.topics.allows("shop.orders") && !shop.topics.allows("default.orders"));
    assert_eq!(tenant(&operator, "acme").settings.max_hops, 16, "nothing is inherited");
    assert!(matches!(super::tests::operator(MINIMAL, []).tenant("shop"), TenantLookup::Unknown));
}

#[test]
fn a_tenants_properties_stand_in_front_of_the_hosts() {
    let text = format!(
        "{MINIMAL}[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
         \"sasl.username\" = \"host\"\n\"sasl.password\" = \"1\"\n\
         [tenants.acme.kafka_properties]\n\"sasl.username\" = \"acme\"\n\"sasl.password\" = \"2\"\n"
    );
    let operator = operator(&text, []);
    let acme = tenant(&operator, "acme");
    let together = operator.kafka.properties.overlaid_with(&acme.settings.properties);
    let users: Vec<_> =
        together.iter().filter(|(name, _)| name.starts_with("sasl.")).map(|(_, value)| value.expose()).collect();
    assert_eq!(users, ["PLAIN", "2", "acme"]);
}

fn exposed(env: &[(String, Secret)]) -> Vec<(&str, &str)> {
    env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect()
}

#[test]
fn a_manifest_gets_secrets_of_its_tenant_by_name() {
    let text = format!("{MINIMAL}secrets = {{ API-KEY = \"hunter2 !\", TOKEN = \"of the file\", PORT = 8080 }}\n");
    let operator = operator(
        &text,
        [
            ("CALLGATE__TENANTS__ACME__SECRETS__API_KEY", "${hunter3 !}"),
            ("CALLGATE__TENANTS__ACME__SECRETS__ONLY_HERE", "hunter4 !"),
        ],
    );
    let acme = tenant(&operator, "acme");
    let manifest = "[env]\nA = \"<${secret:API-KEY}|${secret:TOKEN}>\"\nB = \"${secret:ONLY_HERE}\"\nC = true\n\
                    D = \"$${secret:TOKEN} ${secret:PORT}\"\n";
    let read = Manifest::read("orders.toml", manifest.to_owned());
    assert_eq!(read.faults, []);
    let (env, faults) = fill_env(&read.manifest.expect("a manifest").env, &acme);
    assert_eq!(faults, []);
    let expected =
        [("A", "<${hunter3 !}|of the file>"), ("B", "hunter4 !"), ("C", "true"), ("D", "${secret:TOKEN} 8080")];
    assert_eq!(exposed(&env), expected);
    assert!(!format!("{operator:?} {acme:#?} {env:?}").contains("hunter"), "{acme:#?}");
}

/// The blocks of the reference that show a whole file, in their order.
fn examples() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

#[test]
fn the_examples_of_the_reference_are_sound() {
    let [operator_file, manifest] = examples().try_into().expect("the page has two examples");
    let secrets = tempfile::tempdir().expect("a folder");
    for name in ["kafka-password", "shop-password", "shop-stripe"] {
        std::fs::write(secrets.path().join(name), "secret\n").expect("a file");
    }
    let authority = rcgen::generate_simple_self_signed([]).expect("a certificate");
    std::fs::write(secrets.path().join("internal-ca.pem"), authority.cert.pem()).expect("a file");
    let operator_file = operator_file
        .replace("/run/secrets", &secrets.path().to_string_lossy())
        .replace("internal-ca.pem", &secrets.path().join("internal-ca.pem").to_string_lossy());
    let operator = operator(&operator_file, [("HOSTNAME", "node-1")]);
    assert_eq!(operator.kafka.instance_id.as_deref(), Some("node-1"));
    let shop = tenant(&operator, "shop");
    let outbound = shop.settings.outbound.iter();
    let outbound: Vec<_> =
        outbound.map(|allowed| (allowed.origin.to_string(), allowed.private, allowed.authorities.is_some())).collect();
    let expected = [
        ("https://api.example.com".to_owned(), false, false),
        ("http://stock.shop.svc:8080".to_owned(), true, false),
        ("https://ledger.shop.svc".to_owned(), true, true),
    ];
    assert_eq!(outbound, expected);

    let read = Manifest::read("orders.toml", manifest);
    assert_eq!(read.faults, []);
    let manifest = read.manifest.expect("a manifest without faults is read");
    assert_eq!(operator.kafka.group(&shop.name, manifest.group.as_deref()), "callgate.shop.orders");
    let (env, faults) = fill_env(&manifest.env, &shop);
    assert_eq!(faults, []);
    assert_eq!(exposed(&env), [("LOG_LEVEL", "info"), ("STRIPE_KEY", "secret")]);
    let (routes, faults) = resolve(&manifest, "orders", &shop);
    assert_eq!(faults, []);
    let [first, second] = &routes[..] else { panic!("{routes:?}") };
    assert!(first.topics.matches("shop.orders.submit"));
    assert_eq!(first.route.query, [("verbose".to_owned(), Binding::Header("verbose".into()))]);
    assert_eq!(first.route.reply_to.as_deref(), Some("shop.orders.replies"));
    assert!(first.route.tombstone.is_some());
    assert!(second.topics.matches("shop.refunds.eu") && !second.topics.matches("shop.refunds.eu-dlt"));
}

#[test]
fn a_manifest_without_routes_gets_the_one_of_a_component_alone() {
    let operator = operator(MINIMAL, []);
    let acme = tenant(&operator, "acme");
    let read = Manifest::read("orders.toml", "[env]\nA = 1\n".to_owned());
    let (routes, faults) = resolve(&read.manifest.expect("a manifest"), "orders", &acme);
    assert_eq!(faults, []);
    let [only] = &routes[..] else { panic!("{routes:?}") };
    assert!(matches!(&only.topics, TopicSelector::Topic(topic) if &**topic == "acme.orders"));
    assert_eq!(only.route.operation.method, "POST");
    assert_eq!(only.route.without_reply_to, WithoutReplyTo::Call);
    assert_eq!(only.route.client_errors, ClientErrors::DeadLetter);
    assert_eq!((only.route.deadline, only.route.max_in_flight), (Duration::from_secs(5), 32));
    assert_eq!((only.route.retry.attempts, only.route.retry.backoff), (3, Duration::from_millis(200)));
}

#[test]
fn a_tenant_that_allows_less_than_a_default_lowers_it() {
    let operator = operator(&format!("{MINIMAL}max_deadline = \"2s\"\nmax_in_flight = 4\n"), []);
    let acme = tenant(&operator, "acme");
    let read = Manifest::read("orders.toml", String::new());
    let (routes, faults) = resolve(&read.manifest.expect("a manifest"), "orders", &acme);
    assert_eq!(faults, []);
    assert_eq!((routes[0].route.deadline, routes[0].route.max_in_flight), (Duration::from_secs(2), 4));
}
