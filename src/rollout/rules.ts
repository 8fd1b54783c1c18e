/** Each rule of the protocol that the simulator switches off in turn, to see that an invariant notices. */
export type Rule =
	| 'fence' // a node refuses commands below its promise
	| 'durable-promise' // the promise is on disk before the answer
	| 'missing-is-down' // a node that is not heard counts as down
	| 'count-down' // an unhealthy node counts against the budget
	| 'count-out' // nodes that are out count against the budget
	| 'count-foreign' // `restarting` in other rollouts' records counts
	| 'slot-by-evidence' // a slot is given back by evidence, never by a timer
	| 'proof' // back is judged by the facts
	| 'proof-identity' // process id and start time, not the process id alone
	| 'recheck-back' // nodes that are back must still be ready
	| 'halt-on-failure'
	| 'halted-not-completed' // a rollout with a failed node does not end completed
	| 'once' // a node that is restarting or beyond does not begin again
	| 'durable-record' // `restarting` is on disk before the step begins
	| 'go-forward' // a step in the middle is taken up after a crash
	| 'report-epoch' // a report counts only with the current epoch
	| 'report-order' // a report counts only with a greater (boot, sequence)
	| 'confirm' // no step before a majority has stored the rollout under the own epoch
	| 'gather' // promises carry the rollouts that have not ended
	| 'majority' // the lease needs a majority
	| 'takeover' // somebody takes over when the coordinator is gone
	| 'deadline' // a step's deadline halts
	| 'idle-deadline' // waiting without a step halts
	| 'majority-answer' // an operator's word is answered after a majority stored it
	| 'ending-wins'
	| 'conflict' // a running rollout refuses another one
	| 'coordinator-last'
	| 'hand-over' // a coordinator gives its lease away before it restarts itself
	| 'stranger' // a node that lost its state does not vote
	| 'pause' // a paused rollout begins no step
	| 'wait-between' // some time passes between a node's evidence and the next step
	| 'check-first' // no step before every file has been looked at
	| 'catch-up' // before it votes, such a node takes over what it may have helped to store
	| 'lost-turn' // it takes no turn in a rollout in which it may have had it, before an operator says so
	| 'exempt-budget' // the exemption for an unhealthy target never lets more than B be out
	| 'unlive-steps-down' // a coordinator that does not hear a majority lets its lease run out
	| 'joint' // a change of members needs a majority of both
	| 'leaver-votes-not' // a node that has left by a change of members votes for nobody
	| 'stayers-drive' // a change of members is coordinated by nodes that are members before and after it
	| 'member-hash' // nodes of another fleet, by the hash of its members, neither promise nor count
	| 'version' // no word is exchanged without a version of the protocol in common
	| 'half-way' // a change of members that halted half-way is superseded by another one only
	| 'led' // a rollout is superseded only by who hears a majority that has stored how it stands
	| 'unhealthy-first' // targets whose workers are unhealthy go before the others
	| 'ended-here' // a node takes no step of a rollout that an operator has ended on it alone
	| 'gone-for-good' // a rollout is ended on one node alone only after five leases without a majority
	| 'patience'; // a candidate waits longer for promises after each try in vain
