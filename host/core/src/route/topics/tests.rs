use super::*;

#[test]
fn names_that_kafka_takes() {
    for name in ["a", "a.b_c-D9", "...", "__consumer_offsets", &"x".repeat(249)] {
        assert!(valid_topic_name(name), "{name}");
    }
    for name in ["", ".", "..", "a b", "a/b", "é", "a*", "a\n", &"x".repeat(250)] {
        assert!(!valid_topic_name(name), "{name}");
    }
}

#[test]
fn a_list_holds_names_and_prefixes() {
    let list = TopicList::new(["acme.*", "shared"]).expect("a list");
    for topic in ["acme.", "acme.orders", "shared"] {
        assert!(list.allows(topic), "{topic}");
    }
    for topic in ["acme", "shared2", "other", ""] {
        assert!(!list.allows(topic), "{topic}");
    }
    assert!(TopicList::new(["*"]).expect("a list").allows("anything"));
    assert!(!TopicList::default().allows("anything"));
    for entry in ["", "a*b", "a b", "**"] {
        let message = format!("`{entry}` is neither the name of a topic nor a prefix with `*` at its end");
        assert_eq!(TopicList::new([entry]), Err(message));
    }
}

#[test]
fn a_pattern_is_for_the_whole_name() {
    let selector = TopicSelector::pattern(r"acme\.orders\..*|shared", &["*-dlt", "*.replies"]).expect("a pattern");
    for topic in ["acme.orders.eu", "shared"] {
        assert!(selector.matches(topic), "{topic}");
    }
    for topic in ["xacme.orders.eu", "shared2", "acme.orders.eu-dlt", "acme.orders.eu.replies", "acmexorders.eu"] {
        assert!(!selector.matches(topic), "{topic}");
    }
    let all = TopicSelector::pattern(".*", &[] as &[&str]).expect("a pattern");
    assert!(all.matches("a-dlt") && !all.matches("__consumer_offsets"));
}

#[test]
fn a_pattern_cannot_leave_its_anchors() {
    for pattern in ["a)|(b", "("] {
        assert!(
            TopicSelector::pattern(pattern, &[] as &[&str])
                .expect_err(pattern)
                .starts_with(&format!("`{pattern}` is no regular expression"))
        );
    }
}

#[test]
fn a_pattern_costs_little_or_is_refused() {
    let none = &[] as &[&str];
    for pattern in [r"acme\.\w{1,200}", r"[a-z0-9._-]{1,100}", r"\p{Greek}+", "acme-é.*"] {
        assert!(TopicSelector::pattern(pattern, none).is_ok(), "{pattern}");
    }
    for pattern in [r"\pL{100}", r"(?:[a-z]{50}){50}"] {
        let refusal = TopicSelector::pattern(pattern, none).expect_err(pattern);
        assert_eq!(refusal, format!("`{pattern}` takes more than 32 KiB when compiled"));
    }
}

#[test]
fn a_topic_is_one_name() {
    let selector = TopicSelector::Topic("acme.orders".into());
    assert!(selector.matches("acme.orders") && !selector.matches("acme.ordersx"));
}
