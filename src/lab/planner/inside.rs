//! What is set inside a namespace, and what waits for interfaces that come late.

use super::{Planner, route_step};
use crate::file::sysctl_path;
use crate::links::Setting;
use crate::model::Node;
use crate::plan::{LateInterfaceStep, NamespaceStep};
use crate::resolve::sysctl_interface;

impl<'a> Planner<'a> {
    /// What is set inside a namespace once its links are there.
    pub(super) fn configure(&mut self, namespace: usize, node: &'a Node, step: &mut NamespaceStep) {
        for late in &node.late {
            let stand_in = self.index();
            self.indexes[namespace].insert(&late.interface, stand_in);
            step.late.interfaces.push(LateInterfaceStep {
                name: late.interface.clone(),
                stand_in,
                mtu: late.mtu,
                addresses: Vec::new(),
                sysctls: Vec::new(),
            });
        }
        let indexes = &self.indexes[namespace];
        for address in &node.addresses {
            let Some(&index) = indexes.get(address.interface.as_str()) else {
                continue;
            };
            match step.late.of(index) {
                Some(late) => late.addresses.push(address.net),
                None => step.addresses.push((index, address.net)),
            }
        }
        for setting in &node.settings {
            let index = |name: &String| indexes.get(name.as_str()).copied();
            let Some(interface) = index(&setting.interface) else {
                continue;
            };
            let master = setting.master.as_ref().and_then(index);
            let is_late =
                step.late.of(interface).is_some() || master.is_some_and(|it| step.late.of(it).is_some());
            let setting = Setting {
                interface,
                master,
                primary: setting.primary,
                vlans: setting.vlans.clone(),
            };
            match is_late {
                true => step.late.settings.push(setting),
                false => step.settings.push(setting),
            }
        }
        for route in node.routes.iter().map(|route| route_step(route, indexes)) {
            match step.late.carries(&route, &step.addresses) {
                true => step.late.routes.push(route),
                false => step.routes.push(route),
            }
        }
        for (name, value) in &node.sysctls {
            let path = sysctl_path(name);
            let interface = sysctl_interface(&path);
            let is_of = |late: &&mut LateInterfaceStep| interface == Some(late.name.as_str());
            let late = step.late.interfaces.iter_mut().find(is_of);
            let list = match (late, &interface) {
                (Some(late), _) => &mut late.sysctls,
                (None, Some(_)) => &mut step.late_sysctls,
                (None, None) => &mut step.sysctls,
            };
            list.push((path, value.clone()));
        }
    }
}
