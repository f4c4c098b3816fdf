// What neuron models that portable-cortex writes for NEST have in common.
//
// A model is a struct of constants and functions of arrays of numbers (`Neuron` says which); its
// file is written for each model, and is all that differs between two of them.

#ifndef PORTABLE_CORTEX_NEURON_H
#define PORTABLE_CORTEX_NEURON_H

#include "config.h"
#undef HAVE_BOOST // NEST has it for messages and for sorting synapses: nothing that is done here

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "archiving_node.h"
#include "dict_util.h"
#include "dictionary.h"
#include "event.h"
#include "event_delivery_manager_impl.h"
#include "exceptions.h"
#include "genericmodel_impl.h"
#include "kernel_manager.h"
#include "model_manager_impl.h"
#include "nest_extension_interface.h"
#include "nest_names.h"
#include "random_generators.h"
#include "recordables_map.h"
#include "ring_buffer.h"
#include "universal_data_logger_impl.h"

namespace portable_cortex
{

// Random numbers of the thread that a neuron is on.
class Draw
{
public:
  Draw( nest::RngPtr generator, nest::normal_distribution& normal )
    : generator_( generator )
    , normal_( normal )
  {
  }

  double
  uniform()
  {
    return generator_->drand();
  }

  double
  normal()
  {
    return normal_( generator_ );
  }

private:
  nest::RngPtr generator_;
  nest::normal_distribution& normal_;
};

// The exponential of a matrix: Taylor's series of a part so small that it converges at once, squared.
template < std::size_t N >
std::array< double, N * N >
exponential( std::array< double, N * N > matrix )
{
  constexpr int order = 18;
  double norm = 0.0;
  for ( std::size_t i = 0; i < N; ++i )
  {
    double sum = 0.0;
    for ( std::size_t j = 0; j < N; ++j )
    {
      sum += std::abs( matrix[ i * N + j ] );
    }
    norm = std::max( norm, sum );
  }
  int squarings = 0;
  if ( std::isfinite( norm ) and norm > 0.5 )
  {
    squarings = 1 + std::ilogb( norm ) + 1;
  }
  for ( double& value : matrix )
  {
    value = std::ldexp( value, -squarings );
  }
  const auto product = []( const auto& a, const auto& b )
  {
    std::array< double, N* N > c {};
    for ( std::size_t i = 0; i < N; ++i )
    {
      for ( std::size_t k = 0; k < N; ++k )
      {
        for ( std::size_t j = 0; j < N; ++j )
        {
          c[ i * N + j ] += a[ i * N + k ] * b[ k * N + j ];
        }
      }
    }
    return c;
  };
  std::array< double, N* N > result {};
  for ( std::size_t i = 0; i < N; ++i )
  {
    result[ i * N + i ] = 1.0;
  }
  for ( int k = order; k > 0; --k )
  {
    result = product( matrix, result );
    for ( double& value : result )
    {
      value /= k;
    }
    for ( std::size_t i = 0; i < N; ++i )
    {
      result[ i * N + i ] += 1.0;
    }
  }
  for ( ; squarings > 0; --squarings )
  {
    result = product( result, result );
  }
  return result;
}

// Factors of the exact solution of V linear equations with I inputs: a row for each variable, with
// the factor of each variable, of each input, and what is added.
//
// `slope( row, x )` is the derivative of a variable where variables and inputs are x.
template < std::size_t V, std::size_t I, typename Slope >
std::array< double, V*( V + I + 1 ) >
factors( const Slope& slope, const double step )
{
  constexpr std::size_t n = V + I + 1;
  std::array< double, n * n > matrix {};
  std::array< double, V + I > x {};
  for ( std::size_t row = 0; row < V; ++row )
  {
    const double constant = slope( row, x.data() );
    matrix[ row * n + n - 1 ] = constant * step;
    for ( std::size_t column = 0; column < V + I; ++column )
    {
      x[ column ] = 1.0;
      matrix[ row * n + column ] = ( slope( row, x.data() ) - constant ) * step;
      x[ column ] = 0.0;
    }
  }
  // what is proportional to an input may be large, and must not decide into how many parts
  std::array< double, n > size;
  size.fill( 1.0 );
  for ( std::size_t column = V; column < n; ++column )
  {
    for ( std::size_t row = 0; row < V; ++row )
    {
      size[ column ] = std::max( size[ column ], std::abs( matrix[ row * n + column ] ) );
    }
    for ( std::size_t row = 0; row < V; ++row )
    {
      matrix[ row * n + column ] /= size[ column ];
    }
  }
  const auto later = exponential< n >( matrix );
  std::array< double, V * n > found;
  for ( std::size_t row = 0; row < V; ++row )
  {
    for ( std::size_t column = 0; column < n; ++column )
    {
      found[ row * n + column ] = later[ row * n + column ] * size[ column ];
    }
  }
  return found;
}

// A node of NEST from a model:
//
// n_parameters, n_state, n_visible, n_recorded, n_ports, n_currents, n_constants, has_time
// parameter_names, recorded_names: of the latter the first are variables, the visible ones
// defaults: of parameters
// places: of the visible variables in the state
// constants( parameters, step, constants ): whether equations have a solution that is finite
// initial( parameters, step, state )
// step( state, constants, draw ): whether there is a spike
// recorded( k, state, constants ): what is recorded beside variables
//
// The state has the variables, then sums of weights that arrive at ports, currents, and the time.
template < typename Model >
class Neuron : public nest::ArchivingNode
{
public:
  Neuron()
    : nest::ArchivingNode()
    , parameters_( Model::defaults )
    , logger_( *this )
  {
    Model::initial( parameters_.data(), resolution(), state_.data() );
    if ( recordables_.empty() )
    {
      add_recordables( std::make_integer_sequence< int, Model::n_recorded >() );
    }
  }

  Neuron( const Neuron& other )
    : nest::ArchivingNode( other )
    , parameters_( other.parameters_ )
    , state_( other.state_ )
    , own_current_( other.own_current_ )
    , logger_( *this )
  {
  }

  using nest::Node::handle;
  using nest::Node::handles_test_event;

  std::size_t
  send_test_event( nest::Node& target, std::size_t port, nest::synindex, bool ) override
  {
    nest::SpikeEvent event;
    event.set_sender( *this );
    return target.handles_test_event( event, port );
  }

  std::size_t
  handles_test_event( nest::SpikeEvent&, std::size_t port ) override
  {
    if ( port < 1 or port > Model::n_ports )
    {
      throw nest::UnknownReceptorType( port, get_name() );
    }
    return port;
  }

  std::size_t
  handles_test_event( nest::CurrentEvent&, std::size_t port ) override
  {
    if ( port != 0 or Model::n_currents == 0 )
    {
      throw nest::UnknownReceptorType( port, get_name() );
    }
    return port;
  }

  std::size_t
  handles_test_event( nest::DataLoggingRequest& request, std::size_t port ) override
  {
    if ( port != 0 )
    {
      throw nest::UnknownReceptorType( port, get_name() );
    }
    return logger_.connect_logging_device( request, recordables_ );
  }

  void
  handle( nest::SpikeEvent& event ) override
  {
    const auto now = nest::kernel().simulation_manager.get_slice_origin();
    arrivals_[ event.get_rport() - 1 ].add_value(
      event.get_rel_delivery_steps( now ), event.get_weight() * event.get_multiplicity() );
  }

  void
  handle( nest::CurrentEvent& event ) override
  {
    const auto now = nest::kernel().simulation_manager.get_slice_origin();
    current_.add_value( event.get_rel_delivery_steps( now ), event.get_weight() * event.get_current() );
  }

  void
  handle( nest::DataLoggingRequest& request ) override
  {
    logger_.handle( request );
  }

  void
  get_status( Dictionary& d ) const override
  {
    for ( std::size_t k = 0; k < Model::n_parameters; ++k )
    {
      d[ Model::parameter_names[ k ] ] = parameters_[ k ];
    }
    const double* c = constants().values.data();
    for ( int k = 0; k < Model::n_recorded; ++k )
    {
      d[ Model::recorded_names[ k ] ] = recorded( k, c );
    }
    if ( Model::n_currents > 0 )
    {
      d[ nest::names::I_e ] = own_current_;
    }
    d[ "ran_away" ] = ran_away_.load();
    ArchivingNode::get_status( d );
    d[ nest::names::recordables ] = recordables_.get_list();
  }

  void
  set_status( const Dictionary& d ) override
  {
    auto parameters = parameters_;
    auto state = state_;
    double own_current = own_current_;
    bool is_other = false;
    for ( std::size_t k = 0; k < Model::n_parameters; ++k )
    {
      is_other |= nest::update_value_param( d, Model::parameter_names[ k ], parameters[ k ], this );
    }
    for ( std::size_t k = 0; k < Model::n_visible; ++k )
    {
      nest::update_value_param( d, Model::recorded_names[ k ], state[ Model::places[ k ] ], this );
    }
    if ( Model::n_currents > 0 )
    {
      nest::update_value_param( d, nest::names::I_e, own_current, this );
    }
    const auto constants = is_other ? constants_of( parameters ) : constants_;
    if ( is_other and not constants->is_possible )
    {
      throw nest::BadProperty( "with these parameters its equations have no solution that is finite" );
    }
    ArchivingNode::set_status( d ); // throws, if it does, before anything has changed
    parameters_ = parameters;
    state_ = state;
    own_current_ = own_current;
    constants_ = constants;
  }

private:
  friend class nest::RecordablesMap< Neuron >;
  friend class nest::UniversalDataLogger< Neuron >;

  static constexpr std::size_t arrived = Model::n_state;
  static constexpr std::size_t injected = arrived + Model::n_ports;
  static constexpr std::size_t time = injected + Model::n_currents;

  struct Constants
  {
    std::array< double, Model::n_parameters > parameters;
    double step;
    std::array< double, Model::n_constants > values;
    bool is_possible;
  };

  static double
  resolution()
  {
    return nest::Time::get_resolution().get_ms();
  }

  // Neurons that have the same parameters, one after another, share what is computed from them.
  static std::shared_ptr< const Constants >
  constants_of( const std::array< double, Model::n_parameters >& parameters )
  {
    static thread_local std::weak_ptr< const Constants > last;
    const auto known = last.lock();
    if ( known and known->step == resolution() and known->parameters == parameters )
    {
      return known;
    }
    auto made = std::make_shared< Constants >();
    made->parameters = parameters;
    made->step = resolution();
    made->is_possible = Model::constants( parameters.data(), made->step, made->values.data() );
    last = made;
    return made;
  }

  const Constants&
  constants() const
  {
    if ( not constants_ or constants_->step != resolution() )
    {
      constants_ = constants_of( parameters_ );
    }
    return *constants_;
  }

  double
  recorded( const int k, const double* c ) const
  {
    return k < Model::n_visible ? state_[ Model::places[ k ] ] : Model::recorded( k, state_.data(), c );
  }

  template < int k >
  double
  recorded_now() const
  {
    return recorded( k, constants().values.data() );
  }

  template < int... k >
  void
  add_recordables( std::integer_sequence< int, k... > )
  {
    ( recordables_.insert( { Model::recorded_names[ k ], &Neuron::recorded_now< k > } ), ... );
  }

  void
  init_state_() override
  {
    // what can be set was set by now
    auto initial = state_;
    Model::initial( parameters_.data(), resolution(), initial.data() );
    for ( std::size_t k = 0; k < Model::n_visible; ++k )
    {
      initial[ Model::places[ k ] ] = state_[ Model::places[ k ] ];
    }
    state_ = initial;
  }

  void
  init_buffers_() override
  {
    for ( auto& arrivals : arrivals_ )
    {
      arrivals.clear();
    }
    current_.clear();
    logger_.reset();
    ArchivingNode::clear_history();
  }

  void
  pre_run_hook() override
  {
    ran_away_ = false;
    logger_.init();
  }

  void
  update( nest::Time const& origin, const long from, const long to ) override
  {
    const double* c = constants().values.data();
    Draw draw( nest::get_vp_specific_rng( get_thread() ), normal_ );
    for ( long lag = from; lag < to; ++lag )
    {
      const long now = origin.get_steps() + lag;
      for ( std::size_t k = 0; k < Model::n_ports; ++k )
      {
        state_[ arrived + k ] = arrivals_[ k ].get_value( lag );
      }
      if ( Model::n_currents > 0 )
      {
        state_[ injected ] = next_current_ + own_current_;
      }
      if ( Model::has_time )
      {
        state_[ time ] = ( now + 1 ) * nest::Time::get_resolution().get_ms();
      }
      if ( Model::step( state_.data(), c, draw ) )
      {
        set_spiketime( nest::Time::step( now + 1 ) );
        nest::SpikeEvent event;
        nest::kernel().event_delivery_manager.send( *this, event, lag );
      }
      next_current_ = current_.get_value( lag );
      logger_.record_data( now );
    }
    double sum = 0.0; // is finite where all are
    for ( int k = 0; k < Model::n_state; ++k )
    {
      sum += 0.0 * state_[ k ];
    }
    if ( not std::isfinite( sum ) )
    {
      ran_away_ = true; // NEST does not end where a node throws an exception here
    }
  }

  std::array< double, Model::n_parameters > parameters_;
  std::array< double, Model::n_state + Model::n_ports + Model::n_currents + 1 > state_ {};
  double own_current_ = 0.0;  // pA, beside that of generators
  double next_current_ = 0.0; // what generators let flow in the next step
  mutable std::shared_ptr< const Constants > constants_;
  nest::normal_distribution normal_;
  std::array< nest::RingBuffer, Model::n_ports > arrivals_;
  nest::RingBuffer current_;
  nest::UniversalDataLogger< Neuron > logger_;

  static inline nest::RecordablesMap< Neuron > recordables_;
  static inline std::atomic< bool > ran_away_ = false; // in this run, some neuron of the model
};

// What NEST loads.
template < typename Model >
class Module : public nest::NESTExtensionInterface
{
public:
  void
  initialize() override
  {
    nest::register_node_model< Neuron< Model > >( Model::name );
  }
};

} // namespace portable_cortex

#endif
