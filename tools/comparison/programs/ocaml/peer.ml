(* The OCaml peer: [peer WORKLOAD NUMBER...] does one run of a workload and prints
   {"units": N, "figures": {...}}. OCAMLRUNPARAM has the collector's settings. *)

external now : unit -> (int[@untagged]) = "peer_now_boxed" "peer_now" [@@noalloc]
external cpu : unit -> (int[@untagged]) = "peer_cpu_boxed" "peer_cpu" [@@noalloc]

let print units figures =
  let figure (name, value) = Printf.sprintf "\"%s\": %.17g" name value in
  Printf.printf "{\"units\": %d, \"figures\": {%s}}\n" units
    (String.concat ", " (List.map figure figures))

let timed work =
  let cpu_start = cpu () in
  let start = now () in
  let units = work () in
  let wall = now () - start in
  print units
    [ ("wall_s", float wall /. 1e9);
      ("cpu_s", float (cpu () - cpu_start) /. 1e9) ]

let timed_batches clock operations size figure batch =
  let batches = operations / size in
  for _ = 0 to batches / 8 do batch () done;
  let start = clock () in
  for _ = 1 to batches do batch () done;
  let done_ = batches * size in
  print done_ [ (figure, float (clock () - start) /. float done_) ]

(* ---- binary trees ---- *)

let min_depth = 4

(* Built top down, as everybody's: the fields are set later. [nil] stands for no
   reference. *)
type pair = { mutable left : pair; mutable right : pair }

let rec nil = { left = nil; right = nil }
let rec count node =
  if node.left == nil then 1 else 1 + count node.left + count node.right

let rec grow node depth =
  let left = { left = nil; right = nil } in
  node.left <- left;
  if depth > 1 then grow left (depth - 1);
  let right = { left = nil; right = nil } in
  node.right <- right;
  if depth > 1 then grow right (depth - 1)

let make_pairs depth =
  let root = { left = nil; right = nil } in
  grow root depth;
  root

let binary_trees max_depth =
  let nodes = ref (count (make_pairs (max_depth + 1))) in
  let long_lived = make_pairs max_depth in
  let depth = ref min_depth in
  while !depth <= max_depth do
    for _ = 1 to 1 lsl (max_depth - !depth + min_depth) do
      nodes := !nodes + count (make_pairs !depth)
    done;
    depth := !depth + 2
  done;
  !nodes + count long_lived

(* ---- GCBench ---- *)

type quad = { mutable l : quad; mutable r : quad; mutable i : int; mutable j : int }

let rec no_quad = { l = no_quad; r = no_quad; i = 0; j = 0 }
let new_quad l r = { l; r; i = 0; j = 0 }
let rec count_quads node =
  if node.l == no_quad then 1 else 1 + count_quads node.l + count_quads node.r

let rec populate node depth =
  let left = new_quad no_quad no_quad in
  node.l <- left;
  let right = new_quad no_quad no_quad in
  node.r <- right;
  if depth > 1 then begin
    populate left (depth - 1);
    populate right (depth - 1)
  end

let rec make_quads depth =
  if depth = 1 then
    let left = new_quad no_quad no_quad in
    let right = new_quad no_quad no_quad in
    new_quad left right
  else
    let left = make_quads (depth - 1) in
    let right = make_quads (depth - 1) in
    new_quad left right

let tree_size depth = (1 lsl (depth + 1)) - 1

let gc_bench largest =
  let nodes = ref (count_quads (make_quads largest)) in
  let long_lived = new_quad no_quad no_quad in
  populate long_lived (largest - 2);
  let doubles = Array.init 500000 (fun i -> 1. /. float (i + 1)) in
  let depth = ref min_depth in
  while !depth <= largest - 2 do
    let trees = 2 * tree_size largest / tree_size !depth in
    for _ = 1 to trees do
      let top_down = new_quad no_quad no_quad in
      populate top_down !depth;
      nodes := !nodes + count_quads top_down
    done;
    for _ = 1 to trees do
      nodes := !nodes + count_quads (make_quads !depth)
    done;
    depth := !depth + 2
  done;
  !nodes + count_quads long_lived + if doubles.(0) > 0. then 1 else 0

(* ---- allocation, and stores of references ---- *)

(* Objects of 32 bytes with their header, a list of which lives until the function
   returns. *)
type chain = End | Link of { tail : chain; mutable a : int; mutable b : int }

let rec chain n tail = if n = 0 then tail else chain (n - 1) (Link { tail; a = 0; b = 0 })
let allocate_batch () = ignore (Sys.opaque_identity (chain 64 End))
let row = Array.make 1000 nil
let stored = Sys.opaque_identity { left = nil; right = nil }
let store_batch () =
  for i = 0 to 999 do row.(i) <- stored done

(* ---- a graph of live nodes ---- *)

type node = {
  mutable a : node; mutable b : node; mutable c : node;
  mutable number : int; mutable mark : int; mutable z : int }

type small = Nothing | Small of { tail : small; mutable p : int; mutable q : int; mutable s : int }

let rec no_node = { a = no_node; b = no_node; c = no_node; number = 0; mark = 0; z = 0 }

(* std::minstd_rand *)
let state = ref 1
let random below =
  state := !state * 48271 mod 2147483647;
  !state mod below

let make_table nodes =
  let table = Array.make nodes no_node in
  for i = 0 to nodes - 1 do
    table.(i) <- { a = no_node; b = no_node; c = no_node; number = i; mark = 0; z = 0 }
  done;
  Array.iter (fun node ->
      node.a <- table.(random nodes);
      node.b <- table.(random nodes);
      node.c <- table.(random nodes)) table;
  table

let rec smalls n tail =
  if n = 0 then tail else smalls (n - 1) (Small { tail; p = 0; q = 0; s = 0 })

let operate table =
  ignore (Sys.opaque_identity (smalls 32 Nothing));
  for _ = 1 to 4 do
    let nodes = Array.length table in
    let target = table.(random nodes) in
    let from = table.(random nodes) in
    match random 3 with
    | 0 -> from.a <- target
    | 1 -> from.b <- target
    | _ -> from.c <- target
  done

(* ---- latency; buckets as in benchmarks/latencies.h ---- *)

let counts = Array.make (64 * 32) 0
let longest = ref 0

let rec log2 n = if n < 2 then 0 else 1 + log2 (n lsr 1)

let add_time ns =
  let bucket =
    if ns < 32 then ns
    else
      let shift = log2 ns - 5 in
      (shift * 32) + (ns lsr shift) in
  counts.(bucket) <- counts.(bucket) + 1;
  if ns > !longest then longest := ns

let quantile quantile count =
  let rank = int_of_float (ceil (quantile *. float count)) in
  let rec find bucket seen =
    let seen = seen + counts.(bucket) in
    if seen < rank || seen = 0 then find (bucket + 1) seen
    else
      let shift = (bucket / 32) - 1 in
      let last = if bucket < 32 then bucket else ((bucket - (shift * 32) + 1) lsl shift) - 1 in
      float (min last !longest) /. 1e3 in
  find 0 0

let latency nodes operations warm_up =
  let table = make_table nodes in
  for _ = 1 to warm_up do operate table done;
  let start = now () in
  let before = ref start in
  for _ = 1 to operations do
    operate table;
    let time = now () in
    add_time (time - !before);
    before := time
  done;
  let add checksum node = ((checksum * 31) + node.number) land 0x7fffffff in
  let checksum =
    Array.fold_left (fun sum node -> add (add (add sum node.a) node.b) node.c) 0 table in
  print operations
    [ ("p50_us", quantile 0.5 operations);
      ("p99_us", quantile 0.99 operations);
      ("p999_us", quantile 0.999 operations);
      ("p9999_us", quantile 0.9999 operations);
      ("max_us", float !longest /. 1e3);
      ("operations_s", float (!before - start) /. 1e9);
      ("checksum", float checksum) ]

(* ---- marking: by whole collections, which do not compact ---- *)

let mark_rate objects marks =
  let root = (make_table objects).(0) in
  let stack = Stack.create () in
  let reach node =
    if node.mark = 0 then begin
      node.mark <- 1;
      Stack.push node stack
    end in
  reach root;
  let reached = ref 0 in
  while not (Stack.is_empty stack) do
    let node = Stack.pop stack in
    incr reached;
    reach node.a; reach node.b; reach node.c
  done;
  Gc.full_major ();
  let times =
    Array.init marks (fun _ ->
        let start = cpu () in
        Gc.major ();
        cpu () - start) in
  ignore (Sys.opaque_identity root);
  Array.sort compare times;
  let per_object = float times.(marks / 2) /. float !reached in
  print !reached [ ("ns_per_object", per_object); ("mobjects_per_s", 1000. /. per_object) ]

let () =
  let number n = int_of_string Sys.argv.(2 + n) in
  match if Array.length Sys.argv > 1 then Sys.argv.(1) else "" with
  | "binary_trees" -> timed (fun () -> binary_trees (number 0))
  | "gcbench" -> timed (fun () -> gc_bench (number 0))
  | "alloc" -> timed_batches now (number 0) 64 "ns_per_object" allocate_batch
  | "barrier" -> timed_batches cpu (number 0) 1000 "ns_per_operation" store_batch
  | "latency" -> latency (number 0) (number 1) (number 2)
  | "mark_rate" -> mark_rate (number 0) (number 1)
  | _ -> exit 2
