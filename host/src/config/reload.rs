//! Reading the operator's file again while the host runs.

use super::operator::Operator;

impl Operator {
    /// What `next` says, as far as it can be taken over without a restart: tenants, and how clients reach the brokers.
    /// All else stays as it is; its changed keys are named, for the operator to know.
    pub fn reloaded(&self, mut next: Self) -> (Self, Vec<&'static str>) {
        let mut waiting = Vec::new();
        let mut keep = |changed: bool, key| {
            if changed {
                waiting.push(key);
            }
        };
        keep(self.kafka.delivery != next.kafka.delivery, "kafka.delivery");
        keep(self.kafka.group_id != next.kafka.group_id, "kafka.group_id");
        keep(self.kafka.instance_id != next.kafka.instance_id, "kafka.instance_id");
        keep(self.kafka.first_start != next.kafka.first_start, "kafka.first_start");
        keep(self.deploy.directory != next.deploy.directory, "deploy.directory");
        keep(self.deploy.cache != next.deploy.cache, "deploy.cache");
        keep(self.deploy.cache_key != next.deploy.cache_key, "deploy.cache_key");
        keep(self.limits.memory != next.limits.memory, "limits.memory");
        keep(self.limits.workers != next.limits.workers, "limits.workers");
        keep(self.limits.max_client_sets != next.limits.max_client_sets, "limits.max_client_sets");
        keep(self.admin.listen != next.admin.listen, "admin.listen");
        next.kafka.delivery = self.kafka.delivery;
        next.kafka.group_id.clone_from(&self.kafka.group_id);
        next.kafka.instance_id.clone_from(&self.kafka.instance_id);
        next.kafka.first_start = self.kafka.first_start;
        next.deploy = self.deploy.clone();
        next.limits = self.limits.clone();
        next.admin = self.admin.clone();
        (next, waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(text: &str) -> Operator {
        let read = Operator::from_text(text.to_owned());
        assert_eq!(read.faults, []);
        read.operator.expect("it can be read")
    }

    #[test]
    fn tenants_change_and_what_needs_a_restart_is_named_and_stays() {
        let before = operator("[kafka]\nbootstrap_servers = \"a:9092\"\ngroup_id = \"one\"\n[tenants.acme]\n");
        let next = operator(
            "[kafka]\nbootstrap_servers = \"b:9092\"\ngroup_id = \"two\"\n[limits]\nworkers = 3\n\
             [tenants.acme]\nmax_hops = 3\n[tenants.zeta]\n",
        );
        let (after, waiting) = before.reloaded(next);
        assert_eq!(waiting, ["kafka.group_id", "limits.workers"]);
        assert_eq!((&*after.kafka.group_id, &*after.kafka.bootstrap_servers), ("one", "b:9092"));
        assert_eq!(after.limits.workers, 0);
        assert!(matches!(after.tenant("zeta"), crate::config::TenantLookup::Found(_)));
    }
}
