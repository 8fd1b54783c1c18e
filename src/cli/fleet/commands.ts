import type { Command } from 'commander';
import type { Builder } from '../program.js';
import type { AppFlags, FleetOptions } from './fleet.js';

type NodeOptions = FleetOptions & { node: string[] };

/** Adds the commands of a fleet at home. `appOptions` adds the options of the first app, as `rollcall init` has them. */
export function addFleet(build: Builder, appOptions: (command: Command) => Command): void {
	const fleet = build.group('fleet', 'a fleet at home: its authority, and a bundle for each node');
	const module = () => import('./fleet.js');
	const init =
		'rollcall fleet init shop --node alpha=10.0.0.1 --node beta=10.0.0.2 --node gamma=10.0.0.3 --app ./server.js --cwd /srv/web --port 8080';
	common(
		appOptions(
			withNodes(
				fleet.add<NodeOptions & AppFlags>(
					'init <name>',
					'make the authority and a bundle for each node: certificate, key and configuration',
					[init],
					async (context, name) => (await module()).init(context, name ?? ''),
				),
			),
		),
	);
	common(
		withNodes(
			fleet.add<NodeOptions>(
				'add <name>',
				'make bundles for further nodes, and new ones for those that are there',
				['rollcall fleet add shop --node delta=10.0.0.4'],
				async (context, name) => (await module()).add(context, name ?? ''),
			),
		),
	);
	common(
		fleet.add<FleetOptions>(
			'renew <name> [nodes...]',
			'make a new certificate and bundle for every node, or for these',
			['rollcall fleet renew shop', 'rollcall fleet renew shop alpha'],
			async (context, name, ...nodes) => (await module()).renew(context, name ?? '', nodes),
		),
	);
}

const collect = (value: string, before: string[] = []): string[] => [...before, value];

const withNodes = (command: Command): Command =>
	command.requiredOption(
		'--node <name=host>',
		'a node and the address where the others reach it; once for each',
		collect,
	);

const common = (command: Command): Command =>
	command
		.option('--dir <folder>', 'the folder of the fleet (default: its name)')
		.option('--days <number>', 'how long the certificates are valid', '365');
